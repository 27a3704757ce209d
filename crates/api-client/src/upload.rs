//! Uploads through the API.

use std::path::Path;
use std::time::Duration;

use crate::answer::read_answer;
use crate::client::{Client, Method};
use crate::error::{ApiError, ErrorKind};
use reqwest::multipart::{Form, Part};

impl Client {
    /// Uploads a file to a datastore (`iso`, `vztmpl` or `import`) in at most the time of `most`, not that of other
    /// requests. Returns the id of the task that moves it into place.
    ///
    /// # Errors
    /// When the file cannot be read or the server refuses it.
    pub async fn upload(
        &self,
        node: &str,
        datastore: &str,
        content_type: &str,
        file_name: &str,
        content: Part,
        most: Duration,
    ) -> Result<String, ApiError> {
        let path = format!("nodes/{node}/storage/{datastore}/upload");
        let operation = format!("POST {path}");
        let form = Form::new()
            .text("content", content_type.to_string())
            .part("filename", content.file_name(file_name.to_string()));
        let headers = self.login(Method::Post).await?;
        let request = self.http.post(self.address(&path)).headers(headers).timeout(most).multipart(form);
        let answer = request.send().await;
        let data = read_answer(operation.clone(), answer).await?;
        data.as_str().map(String::from).ok_or_else(|| ApiError {
            operation,
            message: "the answer has no task".into(),
            parameters: Default::default(),
            kind: ErrorKind::Malformed,
        })
    }

    /// The content of a local file, read while it is sent.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn file_part(path: &Path) -> Result<Part, ApiError> {
        let fault = |error: std::io::Error| ApiError {
            operation: format!("read {}", path.display()),
            message: error.to_string(),
            parameters: Default::default(),
            kind: ErrorKind::Unreachable,
        };
        let file = tokio::fs::File::open(path).await.map_err(fault)?;
        let length = file.metadata().await.map_err(fault)?.len();
        let stream = tokio_util::io::ReaderStream::new(file);
        Ok(Part::stream_with_length(reqwest::Body::wrap_stream(stream), length))
    }

    /// Content that is there already.
    pub fn bytes_part(bytes: Vec<u8>) -> Part {
        Part::bytes(bytes)
    }
}
