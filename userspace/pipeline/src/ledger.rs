//! Rows of the stream `ledger`: what changed in the accounts of a source.
//!
//! Takes accounts as they stand now and then, gives rows of the differences, so that sums over rows are the
//! accounts again.

use arrow_array::RecordBatch;
use tapline_decode::export::{ExportAccount, ExporterIdentity, version_name};
use tapline_record::column::{BURST_ROWS, Symbol};
use tapline_record::ledger::SourceLedger;
use tapline_record::{BatchBuilder, EventTime, LEDGER, LedgerColumn, LedgerRow};

/// Between two looks at the accounts of a live source.
const LOOK_EVERY_NS: i64 = 1_000_000_000;

/// Columns that hold changes.
const CHANGES: usize = 16;

/// The values of [`LedgerColumn::Offered`] and the columns behind it.
type Amounts = [i64; CHANGES];

/// Makes the rows of one source.
pub(crate) struct LedgerRows {
    builder: BatchBuilder,
    source: Symbol,
    identity: ExporterIdentity,
    /// How the accounts of exporters stood at the last look, in their order.
    exporters: Vec<Amounts>,
    /// How that of the source stood.
    whole: Amounts,
    rows: Vec<LedgerRow>,
    next_look: EventTime,
}

impl LedgerRows {
    /// Rows of these columns.
    pub(crate) fn new(columns: &[usize], source: &str, identity: ExporterIdentity) -> Self {
        let mut builder = BatchBuilder::new(&LEDGER, columns, BURST_ROWS);
        Self {
            source: builder.intern(source),
            builder,
            identity,
            exporters: vec![],
            whole: [0; CHANGES],
            rows: vec![],
            next_look: EventTime::MIN,
        }
    }

    /// Whether it is time for another look.
    pub(crate) fn is_due(&mut self, now: EventTime) -> bool {
        let is_due = now >= self.next_look;
        if is_due {
            self.next_look = now.plus(LOOK_EVERY_NS);
        }
        is_due
    }

    /// Notes how the exporters' accounts stand.
    pub(crate) fn note_exporters(&mut self, accounts: impl Iterator<Item = ExportAccount>, now: EventTime) {
        for (place, account) in accounts.enumerate() {
            if place == self.exporters.len() {
                self.exporters.push([0; CHANGES]);
            }
            let amounts = amounts_of(&account);
            let changes = changes(&amounts, &mut self.exporters[place]);
            if changes != [0; CHANGES] {
                self.push_exporter(&account, &changes, now);
            }
        }
    }

    /// Notes how the account of the source as a whole stands, in this unit.
    pub(crate) fn note_whole(
        &mut self,
        ledger: &SourceLedger,
        socket_drops: u64,
        unit: &str,
        now: EventTime,
    ) {
        let mut amounts = [0; CHANGES];
        amounts[..6].copy_from_slice(&fates(ledger));
        amounts[CHANGES - 1] = signed(socket_drops);
        let changes = changes(&amounts, &mut self.whole);
        if changes != [0; CHANGES] {
            let unit = self.builder.intern(unit);
            let present = LedgerColumn::SocketDrops.bit();
            let row = LedgerRow { ts: now.0, source: self.source, unit, ..LedgerRow::default() };
            self.push(row, present, &changes);
        }
    }

    /// The rows since the last call, `None` when there are none.
    pub(crate) fn finish(&mut self) -> Option<RecordBatch> {
        self.append();
        (self.builder.rows() > 0).then(|| self.builder.finish())
    }

    fn push_exporter(&mut self, account: &ExportAccount, changes: &Amounts, now: EventTime) {
        use LedgerColumn as C;
        let row = LedgerRow {
            ts: now.0,
            source: self.source,
            exporter: account.exporter,
            port: account.port,
            observation_domain: account.domain,
            protocol: self.builder.intern(version_name(account.version)),
            unit: self.builder.intern(account.unit.name()),
            ..LedgerRow::default()
        };
        let has_port = self.identity == ExporterIdentity::AddressAndPort;
        let columns = [C::Exporter, C::ObservationDomain, C::Protocol];
        let counters = C::Messages as usize..C::SocketDrops as usize;
        let present = columns.into_iter().map(C::bit).sum::<u64>()
            + counters.map(|position| 1 << position).sum::<u64>()
            + if has_port { C::Port.bit() } else { 0 };
        self.push(row, present, changes);
    }

    fn push(&mut self, mut row: LedgerRow, present: u64, changes: &Amounts) {
        use LedgerColumn as C;
        [
            row.offered,
            row.delivered,
            row.control,
            row.undecodable,
            row.dropped,
            row.lost,
            row.messages,
            row.records,
            row.lost_records,
            row.reordered,
            row.duplicates,
            row.restarts,
            row.sets_waited,
            row.sets_replayed,
            row.sets_expired,
            row.socket_drops,
        ] = *changes;
        let fates = (C::Offered as usize..=C::Lost as usize).map(|position| 1 << position).sum::<u64>();
        row.present = present | fates | C::Ts.bit() | C::Source.bit() | C::Unit.bit();
        self.rows.push(row);
        if self.rows.len() == BURST_ROWS {
            self.append();
        }
    }

    fn append(&mut self) {
        let rows = &self.rows;
        self.builder.append(rows.len(), |position, column| LedgerRow::append(rows, position, column));
        self.rows.clear();
    }
}

/// What changed, and `before` brought up to now.
fn changes(now: &Amounts, before: &mut Amounts) -> Amounts {
    let before = std::mem::replace(before, *now);
    std::array::from_fn(|column| now[column] - before[column])
}

fn fates(ledger: &SourceLedger) -> [i64; 6] {
    let SourceLedger { offered, delivered, control, undecodable, dropped, lost_before_us } = *ledger;
    [offered, delivered, control, undecodable, dropped, lost_before_us].map(signed)
}

fn amounts_of(account: &ExportAccount) -> Amounts {
    let (counts, sequence) = (&account.counts, &account.sequence);
    let mut amounts = [0; CHANGES];
    amounts[..6].copy_from_slice(&fates(&account.ledger()));
    let counters = [
        counts.messages,
        counts.records,
        account.lost_records(),
        sequence.reordered,
        sequence.duplicates,
        sequence.restarts,
        counts.sets_waited,
        counts.sets_replayed,
        counts.sets_expired,
    ];
    amounts[6..CHANGES - 1].copy_from_slice(&counters.map(signed));
    amounts
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
