//! Web servers: requests, archives, and addresses that servers answer with.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use pve_config::configuration::without_credentials;
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Digest as _;
use url::Url;

use crate::archive::{ArchiveKind, unpack};
use crate::error::{Attempted, FetchError};

/// An answer that is read into memory is never larger than this.
const MOST_ANSWERED: usize = 16 << 20;
/// How often a request is made that fails by the network or the server.
const ATTEMPTS: u32 = 3;

/// A client for everything that is fetched.
///
/// # Errors
/// When TLS cannot be set up.
pub(crate) fn client() -> Result<Client, FetchError> {
    Client::builder()
        .user_agent(concat!("pve/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(60))
        .build()
        .map_err(|error| FetchError::plain(format!("TLS cannot be set up: {}", causes(&error))))
}

/// Asks for a URL, again when the network or the server fails. A token is only sent where nobody can read it.
///
/// # Errors
/// When there is no answer. An answer with an error status is no error here.
pub(crate) async fn get(
    client: &Client,
    url: &Url,
    token: Option<&SecretString>,
) -> Result<Response, FetchError> {
    let private = url.scheme() == "https"
        || url.host_str().is_some_and(|host| host == "127.0.0.1" || host == "localhost");
    let mut attempt = 1;
    loop {
        let mut request = client.get(url.clone());
        if let Some(token) = token.filter(|_| private) {
            request = request.bearer_auth(token.expose_secret());
        }
        let fault = match request.send().await {
            Ok(answer) if !answer.status().is_server_error() || attempt == ATTEMPTS => return Ok(answer),
            Ok(_) => None,
            Err(error) => Some(error.without_url()),
        };
        match fault {
            Some(error) if attempt == ATTEMPTS || error.is_redirect() || error.is_builder() => {
                let shown = without_credentials(url.as_str());
                let message = format!("{shown}: {}", causes(&error));
                return Err(FetchError::hinted(
                    message,
                    "Check the network, the host's name and its certificate.",
                ));
            }
            _ => tokio::time::sleep(Duration::from_millis(200) * attempt).await,
        }
        attempt += 1;
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// An answer's text.
///
/// # Errors
/// When it breaks off or is too large.
pub(crate) async fn text_of(mut answer: Response) -> Result<String, FetchError> {
    let shown = without_credentials(answer.url().as_str());
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut answer, &shown).await? {
        bytes.extend_from_slice(chunk.as_ref());
        if bytes.len() > MOST_ANSWERED {
            return Err(FetchError::plain(format!("{shown}: the answer is too large")));
        }
    }
    String::from_utf8(bytes).map_err(|_| FetchError::plain(format!("{shown}: the answer is no text")))
}

async fn next_chunk(answer: &mut Response, shown: &str) -> Result<Option<impl AsRef<[u8]>>, FetchError> {
    answer.chunk().await.map_err(|error| {
        FetchError::plain(format!("{shown}: the answer broke off: {}", causes(&error.without_url())))
    })
}

/// What an answer with an error status means.
pub(crate) fn refusal(url: &Url, status: StatusCode) -> FetchError {
    let shown = without_credentials(url.as_str());
    let message = format!("{shown}: the server answers {status}");
    match status.as_u16() {
        401 | 403 => {
            FetchError::hinted(message, "Give a token that may read it, or check the one that is given.")
        }
        404 | 410 => {
            FetchError::hinted(message, "Check the module's source: there is nothing at this address.")
        }
        _ => FetchError::hinted(message, "Try again; nothing was changed."),
    }
}

/// Downloads an archive, checks it, and unpacks it into a folder, which is made.
///
/// # Errors
/// When it cannot be had, has another checksum, or cannot be unpacked safely.
pub(crate) async fn fetch_archive(
    client: &Client,
    url: &Url,
    kind: ArchiveKind,
    checksum: Option<&str>,
    folder: &Path,
) -> Result<(), FetchError> {
    let shown = without_credentials(url.as_str());
    let checksum =
        checksum.map(|text| Checksum::parse(text).ok_or_else(|| wrong_checksum(&shown, text))).transpose()?;
    let mut answer = get(client, url, None).await?;
    if !answer.status().is_success() {
        return Err(refusal(url, answer.status()));
    }
    let parent = folder.parent().unwrap_or(folder);
    let mut file =
        tempfile::NamedTempFile::new_in(parent).attempted(|| format!("writing in {}", parent.display()))?;
    while let Some(chunk) = next_chunk(&mut answer, &shown).await? {
        file.write_all(chunk.as_ref()).attempted(|| format!("writing in {}", parent.display()))?;
    }
    file.flush().attempted(|| format!("writing in {}", parent.display()))?;
    let target = folder.to_path_buf();
    let unpacked = tokio::task::spawn_blocking(move || {
        if let Some(checksum) = checksum {
            checksum.check(file.path())?;
        }
        unpack(file.path(), kind, &target)
    });
    let result = unpacked.await.map_err(|error| FetchError::plain(error.to_string()))?;
    result.map_err(|error| FetchError { message: format!("{shown}: {}", error.message), hint: error.hint })
}

fn wrong_checksum(shown: &str, text: &str) -> FetchError {
    let message = format!("{shown}: \"{text}\" is no checksum");
    FetchError::hinted(message, "Write checksum=sha256:HEX; md5, sha1 and sha512 work too.")
}

/// `sha256:...`; the length tells the hash when it has no name.
struct Checksum {
    name: &'static str,
    expected: String,
}

impl Checksum {
    fn parse(text: &str) -> Option<Checksum> {
        let kinds = [("md5", 32), ("sha1", 40), ("sha256", 64), ("sha512", 128)];
        let (named, hex) = text.split_once(':').map_or((None, text), |(name, hex)| (Some(name), hex));
        let (name, _) = kinds
            .into_iter()
            .find(|(name, length)| hex.len() == *length && named.is_none_or(|named| named == *name))?;
        let expected = hex.to_lowercase();
        expected.chars().all(|c| c.is_ascii_hexdigit()).then_some(Checksum { name, expected })
    }

    fn check(&self, path: &Path) -> Result<(), FetchError> {
        let bytes = std::fs::read(path).attempted(|| "reading the archive".into())?;
        let digest: Vec<u8> = match self.name {
            "md5" => md5::Md5::digest(&bytes).to_vec(),
            "sha1" => sha1::Sha1::digest(&bytes).to_vec(),
            "sha256" => sha2::Sha256::digest(&bytes).to_vec(),
            _ => sha2::Sha512::digest(&bytes).to_vec(),
        };
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if found == self.expected {
            return Ok(());
        }
        let message = format!("the {} checksum is {found}, but {} was asked for", self.name, self.expected);
        Err(FetchError::hinted(message, "Nothing was installed. The archive is not the one that was meant."))
    }
}

/// Asks a server where a module is: by a header, or by an element of a page.
/// <https://developer.hashicorp.com/terraform/language/modules/sources#http-urls>
///
/// # Errors
/// When it does not say.
pub(crate) async fn ask_for_address(client: &Client, url: &Url) -> Result<String, FetchError> {
    let mut asked = url.clone();
    asked.query_pairs_mut().append_pair("terraform-get", "1");
    let answer = get(client, &asked, None).await?;
    if !answer.status().is_success() {
        return Err(refusal(url, answer.status()));
    }
    if let Some(address) = address_header(&answer) {
        return Ok(address);
    }
    let page = text_of(answer).await?;
    address_in_page(&page).ok_or_else(|| {
        let shown = without_credentials(url.as_str());
        FetchError::hinted(
            format!("{shown}: the server does not say where the module is"),
            "Name an archive (.zip, .tar.gz, .tar.xz, or ?archive=zip); a git repository is written git::https://...",
        )
    })
}

/// The header that says where a module is.
pub(crate) fn address_header(answer: &Response) -> Option<String> {
    let header = answer.headers().get("X-Terraform-Get")?.to_str().ok()?;
    (!header.is_empty()).then(|| header.to_string())
}

/// The content of `<meta name="terraform-get" content="...">`.
fn address_in_page(page: &str) -> Option<String> {
    let tags =
        page.split('<').filter(|tag| tag.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("meta ")));
    tags.filter_map(|tag| {
        let tag = tag.split('>').next()?;
        let value = |name: &str| {
            let (_, rest) = tag.split_once(&format!("{name}="))?;
            let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            rest[1..].split(quote).next()
        };
        (value("name")? == "terraform-get")
            .then(|| value("content").map(|content| content.replace("&amp;", "&")))?
    })
    .next()
}
