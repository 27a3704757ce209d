//! Logging in: tokens, tickets, and passwords with or without a second factor.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::answer::read_answer;
use crate::client::{Client, Method};
use crate::error::{ApiError, ErrorKind};

/// How to log in.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// `USER@REALM!NAME=SECRET`
    Token(SecretString),
    /// A user with realm, and the password; a ticket is fetched with them.
    Password(String, SecretString),
    /// The same with the answer to the question for a second factor: the digits of an authenticator, or `recovery:...`
    /// and what else PVE::AccessControl takes. It is good for one login.
    SecondFactor(String, SecretString, SecretString),
    /// A ticket and its CSRF token.
    Ticket(SecretString, SecretString),
}

/// What a password was exchanged for.
#[derive(Clone)]
pub(crate) struct Ticket {
    ticket: SecretString,
    csrf: SecretString,
    fetched: Instant,
    /// It only permits to answer the question for a second factor.
    is_partial: bool,
}

/// Proxmox VE takes a ticket for two hours (PVE::AccessControl). Well before that another is fetched: a request that is
/// begun now may be an upload.
const TICKET_AGE: Duration = Duration::from_secs(3600);

const LOGIN: &str = "POST access/ticket";

impl Client {
    /// The user that requests are made as: `root@pam`, or `root@pam!name` for a token.
    pub fn user(&self) -> String {
        match &self.credentials {
            Credentials::Token(token) => {
                token.expose_secret().split('=').next().unwrap_or_default().to_string()
            }
            Credentials::Password(user, _) | Credentials::SecondFactor(user, ..) => user.clone(),
            // PVE:USER@REALM:...
            Credentials::Ticket(ticket, _) => {
                ticket.expose_secret().split(':').nth(1).unwrap_or_default().to_string()
            }
        }
    }

    /// The headers that log a request in.
    pub(crate) async fn login(&self, method: Method) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::new();
        let kept;
        let (ticket, csrf) = match &self.credentials {
            Credentials::Token(token) => {
                let value = secret(&format!("PVEAPIToken={}", token.expose_secret()))?;
                headers.insert("Authorization", value);
                return Ok(headers);
            }
            Credentials::Ticket(ticket, csrf) => (ticket, csrf),
            Credentials::Password(user, password) => {
                kept = self.ticket(user, password, None).await?;
                (&kept.ticket, &kept.csrf)
            }
            Credentials::SecondFactor(user, password, code) => {
                kept = self.ticket(user, password, Some(code)).await?;
                (&kept.ticket, &kept.csrf)
            }
        };
        headers.insert("Cookie", secret(&format!("PVEAuthCookie={}", ticket.expose_secret()))?);
        if method != Method::Get {
            headers.insert("CSRFPreventionToken", secret(csrf.expose_secret())?);
        }
        Ok(headers)
    }

    /// The present ticket. Concurrent callers share one.
    async fn ticket(
        &self,
        user: &str,
        password: &SecretString,
        code: Option<&SecretString>,
    ) -> Result<Ticket, ApiError> {
        let mut kept = self.ticket.lock().await;
        if let Some(ticket) = kept.as_ref().filter(|ticket| ticket.fetched.elapsed() < TICKET_AGE) {
            return Ok(ticket.clone());
        }
        let ticket = match (code, kept.as_ref()) {
            (None, _) => self.fetch_ticket(&[("username", user)], password, None).await?,
            // The code is spent, and a ticket that is still good is taken for a password.
            (Some(_), Some(old)) => self.fetch_ticket(&[("username", user)], &old.ticket, None).await?,
            (Some(code), None) => self.fetch_with_code(user, password, code).await?,
        };
        if ticket.is_partial {
            let message =
                "the server asks for a second factor: set otp, use an API token, or log in with a ticket";
            return Err(fault(message));
        }
        Ok(kept.insert(ticket).clone())
    }

    /// Answers the question for a second factor, if the server asks it.
    async fn fetch_with_code(
        &self,
        user: &str,
        password: &SecretString,
        code: &SecretString,
    ) -> Result<Ticket, ApiError> {
        let asked = self.fetch_ticket(&[("username", user)], password, None).await?;
        if !asked.is_partial {
            return Ok(asked);
        }
        let code = code.expose_secret().trim();
        let answer =
            SecretString::from(if code.contains(':') { code.into() } else { format!("totp:{code}") });
        let form = [("username", user), ("tfa-challenge", asked.ticket.expose_secret())];
        self.fetch_ticket(&form, &answer, Some(&asked.csrf)).await
    }

    async fn fetch_ticket(
        &self,
        form: &[(&str, &str)],
        password: &SecretString,
        csrf: Option<&SecretString>,
    ) -> Result<Ticket, ApiError> {
        let fetched = Instant::now();
        let form: Vec<_> = form.iter().copied().chain([("password", password.expose_secret())]).collect();
        let mut request = self.http.post(self.address("access/ticket")).form(&form);
        if let Some(csrf) = csrf {
            request = request.header("CSRFPreventionToken", secret(csrf.expose_secret())?);
        }
        let data = read_answer(LOGIN.into(), request.send().await).await?;
        let part = |name: &str| data.get(name).and_then(Json::as_str).map(SecretString::from);
        let is_partial = !matches!(data.get("NeedTFA"), None | Some(Json::Null)) && data["NeedTFA"] != 0;
        let pair = part("ticket").zip(part("CSRFPreventionToken"));
        pair.map(|(ticket, csrf)| Ticket { ticket, csrf, fetched, is_partial })
            .ok_or_else(|| fault("the answer has no ticket"))
    }

    /// Whether there was a ticket from before this moment; it is not used again.
    pub(crate) async fn forget_ticket_before(&self, moment: Instant) -> bool {
        let mut kept = self.ticket.lock().await;
        kept.take_if(|ticket| ticket.fetched < moment).is_some()
    }
}

fn secret(text: &str) -> Result<HeaderValue, ApiError> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| ApiError {
        operation: "log in".into(),
        ..fault("the token or ticket has characters that cannot be sent")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn fault(message: &str) -> ApiError {
    ApiError {
        operation: LOGIN.into(),
        message: message.into(),
        parameters: BTreeMap::new(),
        kind: ErrorKind::Malformed,
    }
}
