//! A connection over which statements are answered.
//!
//! What the protocol calls extended: statements are prepared under names, bound to values as portals, and executed, some
//! rows at a time. After something went wrong, all is passed over up to the next `Sync`.

use crate::messages::{self, Message, Target};
use crate::node::Node;
use crate::parameters::Values;
use crate::rows::{Asked, More, Rows, fields};
use crate::said::{Ended, Said};
use crate::settings::Settings;
use crate::simple;
use crate::statements::{Prepared, Work, prepare};
use crate::wire::{OCTETS_MAX, Wire};
use futures::FutureExt as _;
use pgwire::api::portal::Format;
use pgwire::api::results::{FieldInfo, Tag};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{Bind, BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::{EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

/// Statements, and portals with cursors, that a connection keeps.
const STATEMENTS_MAX: usize = 256;
const PORTALS_MAX: usize = 32;
/// Octets of the name of one.
const NAME_OCTETS_MAX: usize = 1000;
/// How long nothing may be asked.
const ASKS_WITHIN: Duration = Duration::from_secs(3600);
/// How long a message may take to come to its end.
const COMES_WITHIN: Duration = Duration::from_secs(30);

/// A connection that was let in.
pub(crate) struct Session<'a> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) node: Arc<Node>,
    pub(crate) cancelled: Arc<Notify>,
    pub(crate) settings: Settings,
    statements: HashMap<String, Option<Arc<Prepared>>>,
    portals: HashMap<String, Portal>,
    pub(crate) transaction: TransactionStatus,
    /// Whether all is passed over up to the next `Sync`.
    skips: bool,
    /// Whether nothing was asked since the client was told that it may.
    is_idle: bool,
}

/// A statement with its values, or a cursor.
struct Portal {
    /// `None` for a text without a statement.
    prepared: Option<Arc<Prepared>>,
    values: Option<Arc<Values>>,
    format: Format,
    /// From its first execution on.
    rows: Option<Rows>,
    is_over: bool,
    is_cursor: bool,
    /// Whether it stays behind the end of its transaction.
    is_held: bool,
}

/// How many rows were sent, and whether there may be more.
pub(crate) struct Sent {
    pub(crate) rows: usize,
    has_more: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        wire: &'a mut Wire,
        node: Arc<Node>,
        cancelled: Arc<Notify>,
        settings: Settings,
    ) -> Self {
        Self {
            wire,
            node,
            cancelled,
            settings,
            statements: HashMap::new(),
            portals: HashMap::new(),
            transaction: TransactionStatus::Idle,
            skips: false,
            is_idle: true,
        }
    }

    /// Answers until the client ends.
    pub(crate) async fn run(&mut self) -> Result<(), Ended> {
        loop {
            let begun = timeout(ASKS_WITHIN, self.wire.begins()).await;
            begun.map_err(|_| Said::last("57P05", "nothing was asked for an hour"))??;
            let message = timeout(COMES_WITHIN, self.wire.message(OCTETS_MAX)).await;
            let (kind, body) =
                message.map_err(|_| Said::last("08006", "a message does not come to its end"))??;
            match messages::read(kind, body)? {
                Message::Terminate => return Ok(()),
                message => self.take(message).await?,
            }
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), Ended> {
        if self.skips && !matches!(message, Message::Sync) {
            return Ok(());
        }
        if mem::take(&mut self.is_idle) {
            // Who asked to end something asked for what was before.
            let _ = self.cancelled.notified().now_or_never();
        }
        let is_simple = matches!(message, Message::Query(_));
        match self.answer(message).await {
            Err(Ended::Because(said)) if !said.is_last => {
                self.refuse(said)?;
                self.skips = !is_simple;
                if is_simple { self.ready().await } else { self.wire.flush().await }
            }
            answered => answered,
        }
    }

    async fn answer(&mut self, message: Message) -> Result<(), Ended> {
        match message {
            Message::Query(sql) => simple::answer(self, sql).await,
            Message::Parse { name, sql, types } => self.parse(name, sql, types).await,
            Message::Bind(bind) => self.bind(&bind),
            Message::Describe(target) => self.describe(&target),
            Message::Execute { portal, rows_max } => self.execute(portal, rows_max).await,
            Message::Close(target) => self.close(&target),
            Message::Flush => self.wire.flush().await,
            Message::Sync => self.sync().await,
            Message::Terminate | Message::Stray => Ok(()),
        }
    }

    /// Tells what is wrong; a transaction has failed then.
    fn refuse(&mut self, said: Said) -> Result<(), Ended> {
        if self.transaction == TransactionStatus::Transaction {
            self.transaction = TransactionStatus::Error;
        }
        // Nobody can ask for more of them.
        self.portals.retain(|_, portal| !portal.rows.as_ref().is_some_and(Rows::is_stream));
        self.wire.put(&said.message())
    }

    async fn parse(&mut self, name: String, sql: String, types: Vec<u32>) -> Result<(), Ended> {
        if self.statements.len() >= STATEMENTS_MAX && !self.statements.contains_key(&name) {
            let sentence = format!("a connection keeps {STATEMENTS_MAX} statements; close one of them");
            return Err(Said::new("54000", sentence).into());
        }
        check_name(&name)?;
        let settings = self.settings.clone();
        let prepared = self.node.work(move |node| {
            let mut statements = node.statements(&sql)?;
            match (statements.pop(), statements.is_empty()) {
                (None, _) => Ok(None),
                (Some(written), true) => prepare(node, written, &settings, &types).map(Some),
                _ => Err(Said::new("42601", "one statement is prepared at a time")),
            }
        });
        let prepared = prepared.await?.map(Arc::new);
        self.statements.insert(name, prepared);
        self.wire.put(&Backend::ParseComplete(ParseComplete::new()))
    }

    fn bind(&mut self, bind: &Bind) -> Result<(), Ended> {
        let name = bind.statement_name.clone().unwrap_or_default();
        let Some(prepared) = self.statements.get(&name).cloned() else {
            return Err(
                Said::new("26000", format!("there is no statement {name:?}; prepare it first")).into()
            );
        };
        let parameters = prepared.as_ref().map_or(&[][..], |prepared| prepared.parameters.as_slice());
        let values = Some(Arc::new(Values::new(bind, parameters)?));
        let format = format_of(&bind.result_column_format_codes);
        let portal =
            Portal { prepared, values, format, rows: None, is_over: false, is_cursor: false, is_held: false };
        self.keep(bind.portal_name.clone().unwrap_or_default(), portal)?;
        self.wire.put(&Backend::BindComplete(BindComplete::new()))
    }

    fn keep(&mut self, name: String, portal: Portal) -> Result<(), Said> {
        if self.portals.len() >= PORTALS_MAX && !self.portals.contains_key(&name) {
            let sentence = format!("a connection keeps {PORTALS_MAX} portals and cursors; close one of them");
            return Err(Said::new("54000", sentence));
        }
        check_name(&name)?;
        self.portals.insert(name, portal);
        Ok(())
    }

    fn describe(&mut self, target: &Target) -> Result<(), Ended> {
        if let Target::Portal(name) = target
            && self.portals.get(name).is_some_and(|portal| portal.is_cursor)
        {
            return self.put_cursor_fields(name);
        }
        let (prepared, format) = match target {
            Target::Statement(name) => match self.statements.get(name) {
                Some(prepared) => (prepared.clone(), Format::UnifiedText),
                None => return Err(Said::new("26000", format!("there is no statement {name:?}")).into()),
            },
            Target::Portal(name) => match self.portals.get(name) {
                Some(portal) => (portal.prepared.clone(), portal.format.clone()),
                None => return Err(no_portal(name).into()),
            },
        };
        if matches!(target, Target::Statement(_)) {
            let types = prepared.iter().flat_map(|prepared| prepared.parameters.as_slice());
            let types = types.map(|parameter| parameter.wire.oid()).collect();
            self.wire.put(&Backend::ParameterDescription(ParameterDescription::new(types)))?;
        }
        let described = match prepared.as_ref().map(|prepared| &prepared.work) {
            Some(Work::Rows(plan, _)) => Some(fields(plan.schema(), &format)?),
            Some(Work::Fetch(cursor, _)) => Some(self.cursor_fields(cursor)?),
            _ => None,
        };
        match described {
            Some(fields) => self.put_fields(&fields),
            None => self.wire.put(&Backend::NoData(NoData::new())),
        }
    }

    /// The columns of a cursor.
    fn cursor_fields(&self, cursor: &str) -> Result<Vec<FieldInfo>, Said> {
        let rows = self.portals.get(cursor).and_then(|portal| portal.rows.as_ref());
        rows.map(|rows| rows.fields.to_vec()).ok_or_else(|| no_cursor(cursor))
    }

    pub(crate) fn put_fields(&mut self, fields: &[FieldInfo]) -> Result<(), Ended> {
        let description = RowDescription::new(fields.iter().map(Into::into).collect());
        self.wire.put(&Backend::RowDescription(description))
    }

    async fn execute(&mut self, name: String, rows_max: usize) -> Result<(), Ended> {
        let Some(mut portal) = self.portals.remove(&name) else { return Err(no_portal(&name).into()) };
        let executed = self.execute_portal(&mut portal, rows_max).await;
        self.portals.insert(name, portal);
        executed
    }

    async fn execute_portal(&mut self, portal: &mut Portal, rows_max: usize) -> Result<(), Ended> {
        let Some(prepared) = portal.prepared.clone() else {
            return self.wire.put(&Backend::EmptyQueryResponse(EmptyQueryResponse::new()));
        };
        self.check_transaction(&prepared.work)?;
        let Work::Rows(plan, called) = &prepared.work else {
            return self.control(&prepared.work).await;
        };
        if portal.rows.is_none() && !portal.is_over {
            let asked = Asked {
                plan: plan.clone(),
                parameters: prepared.parameters.clone(),
                values: portal.values.clone(),
                format: portal.format.clone(),
            };
            portal.rows = Some(Rows::open(&self.node, asked, &self.cancelled).await?);
        }
        let mut sent = Sent { rows: 0, has_more: false };
        if let Some(rows) = &mut portal.rows {
            sent = self.send(rows, rows_max).await?;
        }
        if sent.has_more {
            return self.wire.put(&Backend::PortalSuspended(PortalSuspended::new()));
        }
        (portal.rows, portal.is_over) = (None, true);
        self.complete(tag(called, sent.rows))
    }

    /// Refuses what comes after something went wrong in a transaction.
    pub(crate) fn check_transaction(&self, work: &Work) -> Result<(), Said> {
        if self.transaction == TransactionStatus::Error && !work.mends_transaction() {
            let sentence = "something went wrong in this transaction; end it by ROLLBACK";
            return Err(Said::new("25P02", sentence));
        }
        Ok(())
    }

    /// Does what gives no rows, or those of a cursor.
    pub(crate) async fn control(&mut self, work: &Work) -> Result<(), Ended> {
        let called = match work {
            Work::Rows(..) => return Err(Said::internal().into()),
            Work::Fetch(cursor, rows) => return self.fetch(cursor, *rows).await,
            Work::Declare { name, plan, is_held } => {
                if plan.is_stream() && self.transaction != TransactionStatus::Transaction {
                    let sentence = "a cursor over a stream lives as long as its transaction; BEGIN one first";
                    return Err(Said::new("25P01", sentence).into());
                }
                let (parameters, values, format) = (vec![], None, Format::UnifiedText);
                let asked = Asked { plan: plan.clone(), parameters, values, format: format.clone() };
                let rows = Some(Rows::open(&self.node, asked, &self.cancelled).await?);
                let (is_over, is_cursor, is_held) = (false, true, *is_held);
                let portal =
                    Portal { prepared: None, values: None, format, rows, is_over, is_cursor, is_held };
                self.keep(name.clone(), portal)?;
                "DECLARE CURSOR"
            }
            Work::Close(Some(name)) => {
                self.portals.remove(name).ok_or_else(|| no_cursor(name))?;
                "CLOSE CURSOR"
            }
            Work::Close(None) => {
                self.portals.clear();
                "CLOSE CURSOR ALL"
            }
            other => self.change(other)?,
        };
        self.complete(Tag::new(called))
    }

    /// Changes what the connection knows; gives what that is called.
    fn change(&mut self, work: &Work) -> Result<&'static str, Said> {
        Ok(match work {
            Work::Deallocate(Some(name)) => {
                self.statements.remove(name);
                "DEALLOCATE"
            }
            Work::Deallocate(None) => {
                self.statements.clear();
                "DEALLOCATE ALL"
            }
            Work::Set { name, value, is_local: false } => {
                self.settings.set(name, value)?;
                "SET"
            }
            Work::Set { name, value, is_local: true } => {
                if self.transaction == TransactionStatus::Transaction {
                    self.settings.set_local(name, value)?;
                }
                "SET"
            }
            Work::Reset => {
                self.settings.reset();
                "RESET"
            }
            Work::DiscardAll => {
                self.settings.reset();
                self.statements.clear();
                self.portals.clear();
                "DISCARD ALL"
            }
            Work::Begin => {
                self.transaction = TransactionStatus::Transaction;
                "BEGIN"
            }
            Work::End(called) => {
                let has_failed = self.transaction == TransactionStatus::Error;
                self.transaction = TransactionStatus::Idle;
                self.settings.end_transaction();
                self.portals.retain(|_, portal| portal.is_held);
                if has_failed { "ROLLBACK" } else { called }
            }
            Work::GoBack => {
                if self.transaction == TransactionStatus::Error {
                    self.transaction = TransactionStatus::Transaction;
                }
                "ROLLBACK"
            }
            Work::Nothing(called) => called,
            Work::Rows(..) | Work::Declare { .. } | Work::Fetch(..) | Work::Close(_) => "",
        })
    }

    async fn fetch(&mut self, cursor: &str, rows_max: Option<usize>) -> Result<(), Ended> {
        let Some(mut portal) = self.portals.remove(cursor) else { return Err(no_cursor(cursor).into()) };
        let fetched = match &mut portal.rows {
            // Of all rows 0 means none here.
            Some(_) if rows_max == Some(0) => Ok(0),
            Some(rows) => self.send(rows, rows_max.unwrap_or(0)).await.map(|sent| sent.rows),
            None => Err(no_cursor(cursor).into()),
        };
        self.portals.insert(cursor.to_owned(), portal);
        self.complete(tag("FETCH", fetched?))
    }

    /// Sends the next so many rows, all of them where it is 0.
    pub(crate) async fn send(&mut self, rows: &mut Rows, rows_max: usize) -> Result<Sent, Ended> {
        let within = self.settings.statement_timeout();
        let ends = within.and_then(|within| Instant::now().checked_add(within));
        let mut sent = Sent { rows: 0, has_more: true };
        while sent.has_more && (rows_max == 0 || sent.rows < rows_max) {
            if let Some(row) = rows.ready()? {
                self.wire.put(&Backend::DataRow(row))?;
                self.wire.make_room().await?;
                sent.rows += 1;
                continue;
            }
            match self.wait(rows, ends).await? {
                More::Rows => {}
                More::Told(said) => self.wire.put(&said.notice())?,
                More::End => sent.has_more = false,
            }
        }
        Ok(sent)
    }

    /// Waits for more rows, as long as somebody waits for them.
    async fn wait(&mut self, rows: &mut Rows, ends: Option<Instant>) -> Result<More, Ended> {
        if rows.are_far() {
            self.wire.flush().await?;
        }
        let is_stream = rows.is_stream();
        tokio::select! {
            more = rows.wait(&self.cancelled) => Ok(more?),
            gone = self.wire.left(), if is_stream => Err(gone),
            () = late(ends) => Err(timed_out().into()),
        }
    }

    pub(crate) fn complete(&mut self, tag: Tag) -> Result<(), Ended> {
        self.wire.put(&Backend::CommandComplete(tag.into()))
    }

    fn close(&mut self, target: &Target) -> Result<(), Ended> {
        match target {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        self.wire.put(&Backend::CloseComplete(CloseComplete::new()))
    }

    async fn sync(&mut self) -> Result<(), Ended> {
        self.skips = false;
        if self.transaction == TransactionStatus::Idle {
            self.portals.retain(|_, portal| portal.is_cursor);
        }
        self.ready().await
    }

    /// Says that the next statement may come.
    pub(crate) async fn ready(&mut self) -> Result<(), Ended> {
        self.is_idle = true;
        self.wire.put(&Backend::ReadyForQuery(ReadyForQuery::new(self.transaction)))?;
        self.wire.flush().await
    }

    /// The columns that a FETCH will give, before it does.
    pub(crate) fn put_cursor_fields(&mut self, cursor: &str) -> Result<(), Ended> {
        let fields = self.cursor_fields(cursor)?;
        self.put_fields(&fields)
    }
}

/// What a statement is called at its end: only of what is selected, rows are counted.
pub(crate) fn tag(called: &str, rows: usize) -> Tag {
    let tag = Tag::new(called);
    if matches!(called, "SELECT" | "FETCH") { tag.with_rows(rows) } else { tag }
}

/// Refuses a name that would only take room.
fn check_name(name: &str) -> Result<(), Said> {
    if name.len() <= NAME_OCTETS_MAX {
        return Ok(());
    }
    Err(Said::new("42622", format!("a name has at most {NAME_OCTETS_MAX} octets")))
}

fn timed_out() -> Said {
    Said::new("57014", "the statement took longer than its statement_timeout")
}

/// Waits until it is too late, if it ever is.
async fn late(ends: Option<Instant>) {
    match ends {
        Some(ends) => sleep_until(ends.into()).await,
        None => std::future::pending().await,
    }
}

/// How columns are sent: one code for all, or one for each.
fn format_of(codes: &[i16]) -> Format {
    match codes {
        [] => Format::UnifiedText,
        [one] => Format::from(*one),
        each => Format::Individual(each.to_vec()),
    }
}

fn no_portal(name: &str) -> Said {
    Said::new("34000", format!("there is no portal {name:?}; bind a statement first"))
}

fn no_cursor(name: &str) -> Said {
    Said::new("34000", format!("there is no cursor {name:?}; DECLARE it first, and FETCH before COMMIT"))
}
