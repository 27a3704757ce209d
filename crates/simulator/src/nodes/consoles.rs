//! Consoles of nodes and guests: tickets for them, and the tasks that would serve them. Nothing listens behind.

use serde_json::{Value, json};

use crate::access;
use crate::failure::Failure;
use crate::request::{Answer, Outcome, Request};
use crate::router::Route;
use crate::state::GuestKind;

macro_rules! routes {
    ($(($kind:literal, $guest:expr)),*) => {
        pub(crate) const ROUTES: &[Route] = &[
            ("POST", "/nodes/{node}/vncshell", |request| shell(request, true)),
            ("POST", "/nodes/{node}/termproxy", |request| shell(request, false)),
            ("POST", "/nodes/{node}/spiceshell", |request| {
                check_command(request)?;
                let path = format!("/nodes/{}", request.node);
                Ok(viewer(request, &path, "Shell"))
            }),
            ("GET", "/nodes/{node}/vncwebsocket", |request| {
                check_command(request)?;
                let path = format!("/nodes/{}", request.node);
                socket(request, &path)
            }),
            $(
                ("POST", concat!("/nodes/{node}/", $kind, "/{vmid}/vncproxy"), |request| {
                    console(request, $guest, true)
                }),
                ("POST", concat!("/nodes/{node}/", $kind, "/{vmid}/termproxy"), |request| {
                    console(request, $guest, false)
                }),
                ("POST", concat!("/nodes/{node}/", $kind, "/{vmid}/spiceproxy"), |request| {
                    let title = spice_title(request, $guest)?;
                    let path = format!("/vms/{}", request.vmid());
                    Ok(viewer(request, &path, &title))
                }),
                ("GET", concat!("/nodes/{node}/", $kind, "/{vmid}/vncwebsocket"), |request| {
                    let path = format!("/vms/{}", request.vmid());
                    socket(request, &path)
                }),
            )*
        ];
    };
}

routes!(("qemu", GuestKind::Qemu), ("lxc", GuestKind::Lxc));

/// The first port of consoles (PVE::Tools, `next_vnc_port`).
const PORT: u64 = 5900;

/// Anything but a login is root's (PVE::API2::Nodes).
fn check_command(request: &Request<'_>) -> Result<(), Failure> {
    match request.get("cmd") {
        Some(command) if command != "login" && !request.identity.is_root() => {
            Err(Failure::forbidden("user != root@pam"))
        }
        _ => Ok(()),
    }
}

fn shell(request: &mut Request<'_>, screen: bool) -> Answer {
    check_command(request)?;
    let path = format!("/nodes/{}", request.node);
    Ok(opened(request, "vncshell", "", &path, screen))
}

fn console(request: &mut Request<'_>, kind: GuestKind, screen: bool) -> Answer {
    let guest = request.guest(kind)?;
    let serial = guest.config.keys().any(|key| key.starts_with("serial"));
    let vmid = request.vmid();
    if kind == GuestKind::Qemu && !screen && !serial {
        return Err(Failure::died("unable to find a serial interface"));
    }
    Ok(opened(request, "vncproxy", &vmid.to_string(), &format!("/vms/{vmid}"), screen))
}

/// The answer for a console: `screen` is VNC, otherwise a terminal.
fn opened(request: &mut Request<'_>, task: &str, id: &str, path: &str, screen: bool) -> Value {
    let ticket = access::console_ticket(request, path, PORT);
    let upid = request.submit(task, id, Outcome::default());
    let mut row = json!({
        "user": request.identity.full_name(), "ticket": ticket, "port": PORT.to_string(), "upid": upid,
    });
    if screen {
        row["cert"] = json!("");
    }
    if request.flag("generate-password") {
        row["password"] = json!(&uuid::Uuid::new_v4().simple().to_string()[..8]);
    }
    row
}

fn spice_title(request: &Request<'_>, kind: GuestKind) -> Result<String, Failure> {
    let (guest, vmid) = (request.guest(kind)?, request.vmid());
    if !guest.running {
        return Err(Failure::died(format!("{} {vmid} not running", guest.kind.label())));
    }
    let vga = guest.config.get("vga").is_some_and(|vga| vga.starts_with("qxl") || vga.contains("type=qxl"));
    if kind == GuestKind::Qemu && !vga {
        return Err(Failure::died("no spice port"));
    }
    let name = if kind == GuestKind::Qemu { "name" } else { "hostname" };
    Ok(format!("{} {vmid} - {}", kind.label(), guest.config.get(name).map_or("", String::as_str)))
}

/// Settings for a SPICE viewer (PVE::AccessControl, `remote_viewer_config`).
fn viewer(request: &Request<'_>, path: &str, title: &str) -> Value {
    let node = &request.node;
    let proxy = request.get("proxy").unwrap_or(node);
    json!({
        "type": "spice", "title": title, "proxy": format!("http://{proxy}:3128"), "tls-port": 61000,
        "host": access::console_ticket(request, path, 61000),
        "password": uuid::Uuid::new_v4().simple().to_string(), "ca": "",
        "host-subject": format!("OU=PVE Cluster Node,O=Proxmox Virtual Environment,CN={node}"),
        "release-cursor": "Ctrl+Alt+R", "toggle-fullscreen": "Shift+F11", "secure-attention": "Ctrl+Alt+Ins",
        "delete-this-file": 1,
    })
}

/// The call before a connection becomes a socket.
fn socket(request: &Request<'_>, path: &str) -> Answer {
    let port = request.number("port").unwrap_or(PORT);
    access::check_console(request, &request.identity.full_name(), path, port, &request.text("vncticket"))?;
    Ok(json!({ "port": port.to_string() }))
}
