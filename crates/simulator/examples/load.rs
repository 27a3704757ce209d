//! How long requests take on a cluster with many guests: `cargo run --release -p pve-simulator --example load -- 1000`.
//!
//! Creates the guests, with the state in a file, then prints the time a request takes at that size: changing, reading
//! and listing. The real API's figures are in the recordings' README.md.

use std::time::{Duration, Instant};

use pve_simulator::{Options, Simulator, serve};
use reqwest::{Certificate, Client, Method};

type Error = Box<dyn std::error::Error>;

struct Api {
    client: Client,
    endpoint: String,
    token: String,
}

impl Api {
    async fn call(&self, method: Method, path: &str, form: &[(&str, String)]) -> Result<Duration, Error> {
        let begun = Instant::now();
        let url = format!("{}api2/json{path}", self.endpoint);
        let request = self.client.request(method.clone(), url).header("authorization", &self.token);
        let request = if method == Method::GET { request } else { request.form(form) };
        request.send().await?.error_for_status()?.bytes().await?;
        Ok(begun.elapsed())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let guests: u32 = std::env::args().nth(1).map_or(Ok(1000), |count| count.parse())?;
    // Another part of the process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir()?;
    let options =
        Options { task_duration: Duration::ZERO, status_cycle: Duration::ZERO, ..Options::default() };
    let simulator = Simulator::open(folder.path().join("state.json"), options)?;
    let server = serve(simulator, "127.0.0.1:0".parse()?).await?;
    let certificate = Certificate::from_pem(server.certificate.as_bytes())?;
    let client = Client::builder().http1_only().tls_certs_only([certificate]).build()?;
    let token = format!("PVEAPIToken={}", server.token);
    let api = Api { client, endpoint: server.endpoint.clone(), token };
    let mut creates = Vec::new();
    for vmid in 100..100 + guests {
        let form = [
            ("vmid", vmid.to_string()),
            ("name", format!("guest{vmid}")),
            ("memory", "2048".to_owned()),
            ("scsi0", "local-lvm:8,discard=on".to_owned()),
            ("net0", "virtio,bridge=vmbr0".to_owned()),
            ("ipconfig0", "ip=dhcp".to_owned()),
        ];
        creates.push(api.call(Method::POST, "/nodes/pve/qemu", &form).await?);
    }
    report("create, the last 50", &creates[creates.len().saturating_sub(50)..]);
    let mut changes = Vec::new();
    for turn in 0..50 {
        let form = [("description", format!("turn {turn}"))];
        changes.push(api.call(Method::PUT, "/nodes/pve/qemu/100/config", &form).await?);
    }
    report("PUT config", &changes);
    for path in ["/nodes/pve/qemu/100/config", "/cluster/resources", "/nodes/pve/qemu"] {
        let mut times = Vec::new();
        for _ in 0..20 {
            times.push(api.call(Method::GET, path, &[]).await?);
        }
        report(&format!("GET {path}"), &times);
    }
    server.shutdown().await;
    Ok(())
}

fn report(what: &str, times: &[Duration]) {
    let mut sorted = times.to_vec();
    sorted.sort();
    let (median, most) = (sorted.get(sorted.len() / 2), sorted.last());
    println!("{what:<32} median {median:?} most {most:?}");
}
