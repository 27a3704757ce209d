//! SOCKS5 as RFC 1928 and RFC 1929 describe it: CONNECT, without a login or with a password.

use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Socks5Proxy, SshError, SshErrorKind, SshTarget};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;

/// A connection to the target through the proxy.
pub(super) async fn connect(proxy: &Socks5Proxy, target: &SshTarget) -> Result<TcpStream, SshError> {
    let server = proxy.server.trim_start_matches("socks5://").trim_start_matches("socks5h://");
    let server = server.trim_end_matches('/');
    let fault = |message: String| {
        SshError::new(SshErrorKind::Unreachable, format!("the SOCKS5 proxy {server}: {message}"))
    };
    let io = |error: std::io::Error| fault(error.to_string());
    let mut stream = TcpStream::connect(server).await.map_err(io)?;
    let method = if proxy.username.is_some() { PASSWORD } else { NO_LOGIN };
    stream.write_all(&[VERSION, 1, method]).await.map_err(io)?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await.map_err(io)?;
    if answer != [VERSION, method] {
        return Err(fault("it does not offer this way to log in".into()));
    }
    if let Some(username) = &proxy.username {
        let password = proxy.password.as_ref().map(|password| password.expose_secret()).unwrap_or_default();
        let mut request = vec![1];
        for (name, text) in [("user", username.as_str()), ("password", password)] {
            let length = u8::try_from(text.len()).map_err(|_| fault(format!("the {name} is too long")))?;
            request.push(length);
            request.extend_from_slice(text.as_bytes());
        }
        stream.write_all(&request).await.map_err(io)?;
        stream.read_exact(&mut answer).await.map_err(io)?;
        if answer[1] != 0 {
            return Err(fault("it refused the user or the password".into()));
        }
    }
    stream.write_all(&request_for(target).map_err(&fault)?).await.map_err(io)?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(io)?;
    if head[1] != 0 {
        return Err(fault(format!("it cannot reach {target}: {}", reason(head[1]))));
    }
    // The address that the proxy bound is of no use, but stands before the data.
    let length = match head[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await.map_err(io)?),
    };
    stream.read_exact(&mut vec![0; length + 2]).await.map_err(io)?;
    Ok(stream)
}

fn request_for(target: &SshTarget) -> Result<Vec<u8>, String> {
    let mut request = vec![VERSION, 1, 0];
    match target.host.parse() {
        Ok(std::net::IpAddr::V4(address)) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        Ok(std::net::IpAddr::V6(address)) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            let length = u8::try_from(target.host.len());
            request.extend_from_slice(&[3, length.map_err(|_| "the node's name is too long")?]);
            request.extend_from_slice(target.host.as_bytes());
        }
    }
    request.extend_from_slice(&target.port.to_be_bytes());
    Ok(request)
}

/// RFC 1928, section 6.
fn reason(code: u8) -> &'static str {
    match code {
        2 => "its rules forbid it",
        3 => "the network is unreachable",
        4 => "the host is unreachable",
        5 => "the connection was refused",
        6 => "the time ran out",
        8 => "it does not know this kind of address",
        _ => "it failed",
    }
}
