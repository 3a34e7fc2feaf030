//! Statements that are sent as they are, several in one text.

use crate::node::Written;
use crate::rows::{Asked, Rows};
use crate::said::Ended;
use crate::session::Session;
use crate::statements::{Work, prepare};
use pgwire::api::portal::Format;
use pgwire::api::results::Tag;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::EmptyQueryResponse;

/// Answers one statement after the other; those before one that is wrong are answered.
pub(crate) async fn answer(session: &mut Session<'_>, sql: String) -> Result<(), Ended> {
    let statements = session.node.work(move |node| node.statements(&sql)).await?;
    if statements.is_empty() {
        session.wire.put(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))?;
    }
    for written in statements {
        answer_one(session, written).await?;
    }
    session.ready().await
}

async fn answer_one(session: &mut Session<'_>, written: Written) -> Result<(), Ended> {
    let settings = session.settings.clone();
    let prepared = session.node.work(move |node| prepare(node, written, &settings, &[])).await?;
    session.check_transaction(&prepared.work)?;
    if let Work::Fetch(cursor, _) = &prepared.work {
        session.put_cursor_fields(cursor)?;
    }
    let Work::Rows(plan, called) = prepared.work else { return session.control(&prepared.work).await };
    let asked = Asked { plan, parameters: vec![], values: None, format: Format::UnifiedText };
    let mut rows = Rows::open(&session.node, asked, &session.cancelled).await?;
    session.put_fields(&rows.fields)?;
    let sent = session.send(&mut rows, 0).await?;
    session.complete(Tag::new(called).with_rows(sent.rows))
}
