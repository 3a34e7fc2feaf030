//! Before a request is answered: whether it is one of ours, and whether whoever asks may.
//!
//! Takes a request and whom it is from, gives it on, or says why not. Each listener has a door of its own: that of the
//! network asks an [`Entrance`], that of this machine's users is guarded by the rights of its file.

use crate::entrance::{Entrance, Refusal};
use crate::problem::Problem;
use crate::strangers::{self, Way};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::sleep;

/// What a browser asks its user for, and a program its configuration.
const CHALLENGES: [&str; 2] = ["Bearer realm=\"tapline\"", "Basic realm=\"tapline\", charset=\"UTF-8\""];

/// Who asks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visitor {
    /// Where from, over the network.
    pub(crate) address: Option<IpAddr>,
    /// Whether nobody on the way reads along.
    pub(crate) is_encrypted: bool,
}

/// What requests of a listener come through.
#[derive(Clone)]
pub(crate) struct Door {
    /// Whether only this machine reaches it.
    pub(crate) is_on_loopback: bool,
    /// Whether whoever comes by it may ask everything.
    pub(crate) is_open: bool,
    /// That of the network, for every door knows what it refused.
    pub(crate) entrance: Arc<Entrance>,
}

impl Door {
    /// Gives a request on, or refuses it.
    pub(crate) async fn admit(self, request: Request, next: Next) -> Response {
        let visitor = request.extensions().get::<Visitor>().copied().unwrap_or_default();
        let way = Way { is_on_loopback: self.is_on_loopback, is_encrypted: visitor.is_encrypted };
        if let Some(message) = strangers::refusal(request.headers(), way) {
            return Problem::new(StatusCode::FORBIDDEN, message).into_response();
        }
        let refusal = if self.is_open { None } else { self.refusal(&request) };
        let Some(refusal) = refusal else { return next.run(request).await };
        if refusal == Refusal::WrongToken {
            sleep(self.entrance.fail(visitor.address)).await;
        }
        answer(&refusal)
    }

    fn refusal(&self, request: &Request) -> Option<Refusal> {
        self.entrance.judge(request.method(), request.uri().path(), request.headers()).err()
    }

    /// How many requests over the network brought a wrong token.
    pub(crate) fn refused(&self) -> u64 {
        self.entrance.refused()
    }
}

fn answer(refusal: &Refusal) -> Response {
    let message = match refusal {
        Refusal::NoToken => {
            "this node answers whoever brings a token: give commands --token-file FILE, programs a header \
             `Authorization: Bearer TOKEN`, a browser any user with the token as the password"
                .to_owned()
        }
        Refusal::WrongToken => "this is no token of this node, or not any more".to_owned(),
        Refusal::MayOnlyRead(name) => {
            format!(
                "the token `{name}` may only read; bring one that has may = \"change\" to change what runs"
            )
        }
        Refusal::FromNowhere => {
            "a password changes something only from the node's own page, as the header Origin \
                                 says; programs write `Authorization: Bearer TOKEN`"
                .to_owned()
        }
    };
    if !matches!(refusal, Refusal::NoToken | Refusal::WrongToken) {
        return Problem::new(StatusCode::FORBIDDEN, message).into_response();
    }
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, message).into_response();
    for challenge in CHALLENGES {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
