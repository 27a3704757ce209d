//! A proxy between client and server that loses, repeats and answers requests by a seed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Fine,
    /// It does not arrive; the connection is cut.
    Lost,
    /// It arrives; the answer is lost with the connection.
    AnswerLost,
    /// It does not arrive; the proxy answers with this status.
    Refused(&'static str),
    /// It arrives; the proxy answers with this status all the same.
    Masked(&'static str),
    /// It arrives twice; the second answer goes back.
    Doubled,
    /// It arrives after its sender was told that it failed.
    Late,
}

const FAULTS: [Fate; 8] = [
    Fate::Lost,
    Fate::AnswerLost,
    Fate::Refused("500 Internal Server Error"),
    Fate::Refused("409 Conflict"),
    Fate::Masked("503 Service Unavailable"),
    Fate::Masked("500 Internal Server Error"),
    Fate::Doubled,
    Fate::Late,
];

/// More faults in a row than this do not happen.
const MOST_IN_A_ROW: u32 = 3;

/// Starts the proxy before a server; one request in `one_in` meets a fault. It ends with the runtime.
pub async fn start(server: SocketAddr, seed: u64, one_in: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let chance = Arc::new(Mutex::new((fastrand::Rng::with_seed(seed), 0)));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let fate = next_fate(&mut chance.lock().unwrap(), one_in);
            // A connection that breaks is what the client must cope with.
            tokio::spawn(async move {
                let _ = pass(client, server, fate).await;
            });
        }
    });
    address
}

fn next_fate((random, in_a_row): &mut (fastrand::Rng, u32), one_in: u32) -> Fate {
    if *in_a_row == MOST_IN_A_ROW || random.u32(..one_in) > 0 {
        *in_a_row = 0;
        return Fate::Fine;
    }
    *in_a_row += 1;
    FAULTS[random.usize(..FAULTS.len())]
}

/// One request on one connection.
async fn pass(mut client: TcpStream, server: SocketAddr, fate: Fate) -> std::io::Result<()> {
    let request = read_request(&mut client).await?;
    match fate {
        Fate::Fine => client.write_all(&ask(server, &request).await?).await,
        Fate::Lost => Ok(()),
        Fate::AnswerLost => ask(server, &request).await.map(drop),
        Fate::Refused(status) => answer(&mut client, status).await,
        Fate::Masked(status) => {
            ask(server, &request).await?;
            answer(&mut client, status).await
        }
        Fate::Doubled => {
            ask(server, &request).await?;
            client.write_all(&ask(server, &request).await?).await
        }
        Fate::Late => {
            answer(&mut client, "503 Service Unavailable").await?;
            tokio::time::sleep(Duration::from_millis(60)).await;
            ask(server, &request).await.map(drop)
        }
    }
}

async fn answer(client: &mut TcpStream, status: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await
}

/// The request with its body, changed so that the server closes the connection behind its answer.
async fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if bytes.len() >= end + 4 + length.unwrap_or(0) {
            bytes.splice(end..end, *b"\r\nconnection: close");
            return Ok(bytes);
        }
    }
}

/// Sends the request and reads the whole answer.
async fn ask(server: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(server).await?;
    connection.write_all(request).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(answer)
}
