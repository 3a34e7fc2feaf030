//! How a connection begins: TLS, who connects, and what the node says of itself.

use crate::access::Terms;
use crate::cancel::Ticket;
use crate::messages::{Body, read_mechanism};
use crate::said::{Ended, Said};
use crate::scram::{MECHANISM, Verifier};
use crate::settings::{Settings, TOLD, default_of};
use crate::wire::{STRANGERS_OCTETS_MAX, Wire};
use bytes::Bytes;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};
use std::time::Duration;
use tapline_tables::CATALOG;

/// The one user, as the one database is called.
pub(crate) const USER: &str = CATALOG;

/// What packets ask for: codes in the place of a version.
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSSAPI: u32 = 80_877_104;
/// The version of the protocol.
const MAJOR: u32 = 3;
/// Packets before that of a version.
const PACKETS_MAX: usize = 4;
/// How long whoever gave a wrong password waits.
const WRONG_PASSWORD_COSTS: Duration = Duration::from_secs(1);

/// What a connection is for.
#[derive(Debug)]
pub(crate) enum Begun {
    /// For statements, under these settings.
    Session(Settings),
    /// To end what another one waits for.
    Cancel { number: i32, key: i32 },
}

/// Begins a connection.
pub(crate) async fn begin(wire: &mut Wire, terms: &Terms) -> Result<Begun, Ended> {
    for _ in 0..PACKETS_MAX {
        let mut packet = Body(wire.packet().await?);
        match packet.u32() {
            Some(TLS) => match terms.acceptor().filter(|_| !wire.is_secret) {
                Some(acceptor) => {
                    wire.answer(b'S').await?;
                    wire.hide(acceptor).await?;
                }
                None => wire.answer(b'N').await?,
            },
            Some(GSSAPI) => wire.answer(b'N').await?,
            Some(CANCEL) => {
                let (number, key) = cancel(&mut packet)?;
                return Ok(Begun::Cancel { number, key });
            }
            Some(version) if version >> 16 == MAJOR => {
                let parameters = parameters(&mut packet)?;
                negotiate(wire, version, &parameters)?;
                authenticate(wire, terms, &parameters).await?;
                let settings = Settings::of(&parameters);
                return Ok(Begun::Session(settings.map_err(Said::into_last)?));
            }
            _ => {
                return Err(
                    Said::last("08P01", "this is no client of PostgreSQL's protocol, version 3").into()
                );
            }
        }
    }
    Err(Said::last("08P01", "the client does not say who it is").into())
}

/// The number and the key by which a connection that begins ends what another one waits for, if it is there for that.
/// Whoever would have it encrypted first is told in plain text what follows.
pub(crate) async fn begins_to_cancel(wire: &mut Wire) -> Result<Option<(i32, i32)>, Ended> {
    for _ in 0..PACKETS_MAX {
        let mut packet = Body(wire.packet().await?);
        match packet.u32() {
            Some(TLS | GSSAPI) => wire.answer(b'N').await?,
            Some(CANCEL) => return cancel(&mut packet).map(Some),
            _ => break,
        }
    }
    Ok(None)
}

fn cancel(packet: &mut Body) -> Result<(i32, i32), Ended> {
    // What is wrong with it, nobody is told.
    let (number, key) = packet.u32().zip(packet.u32()).ok_or(Ended::Gone)?;
    Ok((number.cast_signed(), key.cast_signed()))
}

/// What a client says of itself, by name.
fn parameters(packet: &mut Body) -> Result<Vec<(String, String)>, Ended> {
    let wrong = || Said::last("08P01", "what the client says of itself is not as the protocol has it");
    let mut parameters = vec![];
    loop {
        let name = packet.text().ok_or_else(wrong)?;
        if name.is_empty() {
            return Ok(parameters);
        }
        parameters.push((name, packet.text().ok_or_else(wrong)?));
    }
}

/// Tells a client that asks for a later version, or for options of the protocol, which there are.
fn negotiate(wire: &mut Wire, version: u32, parameters: &[(String, String)]) -> Result<(), Ended> {
    let names = parameters.iter().map(|(name, _)| name);
    let unknown: Vec<String> = names.filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if version == MAJOR << 16 && unknown.is_empty() {
        return Ok(());
    }
    let known = NegotiateProtocolVersion::new((MAJOR << 16).cast_signed(), unknown);
    wire.put(&PgWireBackendMessage::NegotiateProtocolVersion(known))
}

async fn authenticate(wire: &mut Wire, terms: &Terms, parameters: &[(String, String)]) -> Result<(), Ended> {
    if terms.must_hide && !wire.is_secret {
        let sentence = "connections to this node are encrypted; add sslmode=require";
        return Err(Said::last("28000", sentence).into());
    }
    let said = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    if let Some(user) = said("user").filter(|user| *user != USER) {
        let sentence = format!("there is no user {user:?}; the user is {USER}");
        return Err(Said::last("28000", sentence).into());
    }
    if let Some(database) = said("database").filter(|database| *database != CATALOG) {
        let sentence = format!("there is no database {database:?}; the database is {CATALOG}");
        return Err(Said::last("3D000", sentence).into());
    }
    match &terms.verifier {
        Some(verifier) => ask_for_password(wire, verifier).await,
        None => Ok(()),
    }
}

async fn ask_for_password(wire: &mut Wire, verifier: &Verifier) -> Result<(), Ended> {
    say(wire, Authentication::SASL(vec![MECHANISM.to_owned()])).await?;
    let first = read_mechanism(password(wire).await?);
    let first = first.filter(|(mechanism, _)| mechanism == MECHANISM);
    let challenge = first.as_ref().and_then(|(_, said)| verifier.challenge(said));
    let Some((challenge, answer)) = challenge else {
        return Err(Said::last("08P01", format!("the client does not log in by {MECHANISM}")).into());
    };
    say(wire, Authentication::SASLContinue(answer.into())).await?;
    let last = password(wire).await?;
    let Some(proof) = challenge.verify(&last) else {
        tokio::time::sleep(WRONG_PASSWORD_COSTS).await;
        return Err(Said::last("28P01", format!("the password of the user {USER} is another one")).into());
    };
    say(wire, Authentication::SASLFinal(proof.into())).await
}

async fn say(wire: &mut Wire, what: Authentication) -> Result<(), Ended> {
    wire.put(&PgWireBackendMessage::Authentication(what))?;
    wire.flush().await
}

/// The body of a message about a password.
async fn password(wire: &mut Wire) -> Result<Bytes, Ended> {
    match wire.message(STRANGERS_OCTETS_MAX).await? {
        (b'p', body) => Ok(body),
        _ => Err(Said::last("08P01", "a password is asked for first").into()),
    }
}

/// Tells a client that it is let in, and all that it has to know.
pub(crate) async fn welcome(wire: &mut Wire, ticket: &Ticket) -> Result<(), Ended> {
    wire.put(&PgWireBackendMessage::Authentication(Authentication::Ok))?;
    for name in TOLD {
        let value = default_of(name).unwrap_or_default();
        let status = ParameterStatus::new(name.to_owned(), value.to_owned());
        wire.put(&PgWireBackendMessage::ParameterStatus(status))?;
    }
    let key = BackendKeyData::new(ticket.number, SecretKey::I32(ticket.key));
    wire.put(&PgWireBackendMessage::BackendKeyData(key))?;
    wire.put(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(TransactionStatus::Idle)))?;
    wire.flush().await
}
