//! What the API answers where the recordings say nothing: every expectation is from the Perl source that the test
//! names, none from the simulator. Texts are those of the status line, or of the one parameter that is refused.

#![expect(clippy::unwrap_used, reason = "what fails should end the test")]

use std::time::Duration;

use pve_simulator::{Options, Server, Simulator, serve};
use reqwest::{Client, Method};
use serde_json::Value;

mod containers;
mod firewall;
mod machines;
mod nodes;
mod snapshots;
mod storages;

/// A cluster of two nodes on a socket, and a client.
struct Api {
    server: Server,
    client: Client,
}

/// Method, path, parameters (`name=value&...`, nothing encoded), and what is answered: `200`, or the text of the refusal.
type Case = (&'static str, &'static str, &'static str, &'static str);

impl Api {
    async fn start() -> Api {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options {
            other_nodes: vec!["pve2".to_owned()],
            task_duration: Duration::ZERO,
            status_cycle: Duration::ZERO,
            ..Options::default()
        };
        let simulator = Simulator::new(options);
        simulator.add_file("local:vztmpl/debian-12.tar.zst", b"template");
        let server = serve(simulator, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
        let api = Api { server, client };
        api.expect(&[
            ("POST", "/nodes/pve/qemu", "vmid=100&scsi0=local-lvm:1&net0=virtio,bridge=vmbr0&cores=2", "200"),
            ("POST", "/nodes/pve/qemu", "vmid=101", "200"),
            (
                "POST",
                "/nodes/pve/lxc",
                "vmid=200&ostemplate=local:vztmpl/debian-12.tar.zst&rootfs=local-lvm:1&mp0=local-lvm:1,mp=/a",
                "200",
            ),
        ])
        .await;
        api
    }

    async fn ask(&self, method: &str, path: &str, parameters: &str) -> (u16, Value) {
        let url = format!("{}api2/json{path}", self.server.endpoint);
        let token = format!("PVEAPIToken={}", self.server.token);
        let pairs: Vec<(&str, &str)> =
            parameters.split('&').filter_map(|parameter| parameter.split_once('=')).collect();
        let request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        let request = request.header("authorization", token);
        let request = match method {
            _ if pairs.is_empty() => request,
            "GET" | "DELETE" => request.query(&pairs),
            _ => request.form(&pairs),
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// The text of a refusal, `200`, or how the task ended that was started.
    async fn said(&self, method: &str, path: &str, parameters: &str) -> String {
        let (status, body) = self.ask(method, path, parameters).await;
        if let Some(errors) = body["errors"].as_object() {
            let texts: Vec<String> =
                errors.iter().map(|(name, text)| format!("{name}: {}", text.as_str().unwrap())).collect();
            return texts.join("; ");
        }
        if status != 200 {
            return body["message"].as_str().unwrap_or_default().trim_end().to_owned();
        }
        match body["data"].as_str().filter(|text| text.starts_with("UPID:")) {
            Some(upid) => {
                let node = upid.split(':').nth(1).unwrap();
                let (_, task) = self.ask("GET", &format!("/nodes/{node}/tasks/{upid}/status"), "").await;
                let exit = task["data"]["exitstatus"].as_str().unwrap_or("running").to_owned();
                if exit == "OK" { "200".to_owned() } else { format!("task: {exit}") }
            }
            None => "200".to_owned(),
        }
    }

    async fn expect(&self, cases: &[Case]) {
        for (method, path, parameters, expected) in cases {
            let said = self.said(method, path, parameters).await;
            assert_eq!(said, *expected, "{method} {path} {parameters}");
        }
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "").await.1["data"].clone()
    }
}
