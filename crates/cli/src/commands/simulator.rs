//! `pve simulator`

use std::path::Path;

use pve_simulator::{Options, Server, Simulator, serve};
use serde_json::json;

use super::print_json;
use crate::arguments::{GlobalOptions, SimulatorOptions};
use crate::connect::simulated::{self, read_seed};
use crate::failure::{Ended, Failure, chain};

/// Serves a simulated cluster until it is interrupted.
///
/// # Errors
/// When the address is taken, the token is malformed or the state cannot be used.
pub async fn run(global: &GlobalOptions, options: &SimulatorOptions) -> Ended {
    if let Some(token) = &options.token {
        check_token(token)?;
    }
    let seed = options.cluster.as_deref().map(read_seed).transpose()?.unwrap_or_default();
    let settings = Options { token: options.token.clone(), ..simulated::options(&seed) };
    let is_new = options.state.as_ref().is_none_or(|path| !path.exists());
    let simulator = match &options.state {
        Some(path) => Simulator::open(path.clone(), settings)
            .map_err(|error| Failure::plain(format!("{}: {}", path.display(), chain(&error))))?,
        None => Simulator::new(settings),
    };
    if is_new {
        simulator.seed(&seed).map_err(|error| Failure::plain(format!("--cluster: {error}")))?;
    }
    let server = serve(simulator, options.listen).await.map_err(|error| {
        Failure::hinted(
            chain(&error),
            "Choose another port: pve simulator --listen 127.0.0.1:0 takes a free one.",
        )
    })?;
    introduce(global, &server, options.cluster.as_deref())?;
    tokio::signal::ctrl_c().await.map_err(|error| {
        Failure::hinted(
            format!("Ctrl-C cannot be listened for: {error}"),
            "End the process to stop the server.",
        )
    })?;
    server.shutdown().await;
    Ok(0)
}

/// Says how to use the server: what a shell can take in, or one document.
fn introduce(global: &GlobalOptions, server: &Server, described: Option<&Path>) -> Result<(), Failure> {
    let ssh = &server.ssh;
    if global.json {
        return print_json(&json!({
            "format_version": "1.0",
            "endpoint": server.endpoint,
            "api_token": server.token,
            "fingerprint_sha256": server.fingerprint_sha256,
            "certificate": server.certificate,
            "ssh": {
                "address": ssh.address.ip(), "port": ssh.address.port(),
                "username": ssh.username, "password": ssh.password, "host_key": ssh.host_key,
            },
        }));
    }
    println!("PROXMOX_VE_ENDPOINT={}", server.endpoint);
    println!("PROXMOX_VE_API_TOKEN={}", server.token);
    println!("PROXMOX_VE_INSECURE=true");
    println!("PROXMOX_VE_SSH_USERNAME={}", ssh.username);
    println!("PROXMOX_VE_SSH_PASSWORD={}", ssh.password);
    println!("PROXMOX_VE_SSH_PORT={}", ssh.address.port());
    match described {
        Some(path) => eprintln!("A simulated cluster as {} describes it.", path.display()),
        None => {
            eprintln!(
                "A simulated cluster: node pve, storages local and local-lvm, bridges vmbr0 and vmbr1."
            );
        }
    }
    eprintln!("Certificate: {}", server.fingerprint_sha256);
    eprintln!(
        "SSH, for snippets and imports: {}. Other clients than pve are told where in the provider's block:",
        ssh.address
    );
    eprintln!(
        "  ssh {{ node {{ name = \"{}\", address = \"{}\", port = {} }} }}",
        server.simulator().options().node,
        ssh.address.ip(),
        ssh.address.port()
    );
    eprintln!("Press Ctrl-C to end it.");
    Ok(())
}

fn check_token(token: &str) -> Result<(), Failure> {
    let name = token.split_once('=').filter(|(_, secret)| !secret.is_empty()).map(|(name, _)| name);
    let user =
        name.and_then(|name| name.split_once('!')).filter(|(_, id)| !id.is_empty()).map(|(user, _)| user);
    match user.and_then(|user| user.split_once('@')) {
        Some((name, realm)) if !name.is_empty() && !realm.is_empty() => Ok(()),
        _ => Err(Failure::hinted(
            "this is no API token",
            "Write --token 'root@pam!NAME=00000000-0000-0000-0000-000000000000'.",
        )),
    }
}
