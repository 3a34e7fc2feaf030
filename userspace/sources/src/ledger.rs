//! Rows of the stream `ledger`: what changed in the accounts of a source.
//!
//! Takes accounts as they stand now and then, gives rows of the differences, so that sums over rows are the
//! accounts again.

use arrow_array::RecordBatch;
use std::collections::{BTreeMap, HashMap};
use tapline_decode::export::{ExportAccount, ExporterIdentity, Strays, Unit, version_name};
use tapline_decode::{Unread, UnreadCounts};
use tapline_record::column::{BURST_ROWS, Symbol};
use tapline_record::ledger::SourceLedger;
use tapline_record::{BatchBuilder, EventTime, LEDGER, LedgerColumn, LedgerRow};

/// Between two looks at the accounts of a live source.
const LOOK_EVERY_NS: i64 = 1_000_000_000;

/// Columns that hold changes.
const CHANGES: usize = 22;
/// Those that are fates, which come first.
const FATES: usize = 7;
/// Where among them the exporter's clock stands, and those that no exporter has.
const CLOCK: usize = 19;
const SOCKET_DROPS: usize = 20;
const UNREAD: usize = 21;

/// The values of [`LedgerColumn::Offered`] and the columns behind it.
type Amounts = [i64; CHANGES];

/// How an account stood when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Seen {
    version: u8,
    unit: Unit,
    amounts: Amounts,
    /// The number of that look.
    look: u64,
}

/// Makes the rows of one source.
pub(crate) struct LedgerRows {
    builder: BatchBuilder,
    source: Symbol,
    identity: ExporterIdentity,
    /// How the accounts of exporters stood at the last look, by their number.
    exporters: HashMap<u64, Seen>,
    looks: u64,
    /// How that of the source stood, and that of messages of no exporter.
    whole: Amounts,
    strays: Amounts,
    /// Frames that were not read at the last look.
    unread: BTreeMap<Unread, Amounts>,
    rows: Vec<LedgerRow>,
    next_look: EventTime,
}

impl LedgerRows {
    /// Rows of these columns.
    fn new(columns: &[usize], source: &str, identity: ExporterIdentity) -> Self {
        let mut builder = BatchBuilder::new(&LEDGER, columns, BURST_ROWS);
        Self {
            source: builder.intern(source),
            builder,
            identity,
            exporters: HashMap::new(),
            looks: 0,
            whole: [0; CHANGES],
            strays: [0; CHANGES],
            unread: BTreeMap::new(),
            rows: vec![],
            next_look: EventTime::MIN,
        }
    }

    /// Goes over from rows of other columns, if there are any, to these, if any are asked for.
    pub(crate) fn by(
        before: Option<Self>,
        columns: Option<&[usize]>,
        source: impl FnOnce() -> (String, ExporterIdentity),
    ) -> Option<Self> {
        let columns = columns?;
        let Some(mut rows) = before else {
            let (name, identity) = source();
            return Some(Self::new(columns, &name, identity));
        };
        rows.relayout(columns);
        Some(rows)
    }

    /// Rows of these columns instead; what was told already is not told again.
    fn relayout(&mut self, columns: &[usize]) {
        self.builder.relayout(columns);
    }

    /// Whether it is time for another look.
    pub(crate) fn is_due(&mut self, now: EventTime) -> bool {
        let is_due = now >= self.next_look;
        if is_due {
            self.next_look = now.plus(LOOK_EVERY_NS);
        }
        is_due
    }

    /// Notes how the exporters' accounts stand; those of what is not kept any more come last.
    pub(crate) fn note_exporters(&mut self, accounts: impl Iterator<Item = ExportAccount>, now: EventTime) {
        self.looks += 1;
        for account in accounts {
            if account.exporter.is_none() {
                self.merge_given_up(&account);
            }
            let amounts = amounts_of(&account);
            let seen = self.seen(&account);
            let former = std::mem::replace(&mut seen.unit, account.unit);
            let taken_back =
                if former == account.unit { [0; CHANGES] } else { changes(&[0; CHANGES], &mut seen.amounts) };
            let changes = changes(&amounts, &mut seen.amounts);
            self.push_exporter(&account, former, &taken_back, now);
            self.push_exporter(&account, account.unit, &changes, now);
        }
    }

    fn seen(&mut self, account: &ExportAccount) -> &mut Seen {
        let (version, unit, look) = (account.version, account.unit, self.looks);
        let new = Seen { version, unit, amounts: [0; CHANGES], look };
        let seen = self.exporters.entry(account.id).or_insert(new);
        seen.look = look;
        seen
    }

    /// What was seen of accounts that are gone is part of this one.
    fn merge_given_up(&mut self, account: &ExportAccount) {
        let look = self.looks;
        let is_gone = |id: &u64, seen: &mut Seen| {
            *id != account.id
                && (seen.version, seen.unit) == (account.version, account.unit)
                && seen.look < look
        };
        let gone = self.exporters.extract_if(is_gone);
        let gone = gone.fold([0; CHANGES], |sum, (_, seen)| add(&sum, &seen.amounts));
        let seen = self.seen(account);
        seen.amounts = add(&seen.amounts, &gone);
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
        amounts[..FATES].copy_from_slice(&fates(ledger));
        amounts[SOCKET_DROPS] = signed(socket_drops);
        let changes = changes(&amounts, &mut self.whole);
        if changes != [0; CHANGES] {
            let unit = self.builder.intern(unit);
            let present = LedgerColumn::SocketDrops.bit();
            let row = LedgerRow { ts: now.0, source: self.source, unit, ..LedgerRow::default() };
            self.push(row, present, &changes);
        }
    }

    /// Notes which frames were not read until now; they are delivered all the same, so that their row has no fates.
    pub(crate) fn note_unread(&mut self, counts: &UnreadCounts, now: EventTime) {
        for (what, frames) in counts.iter() {
            let mut amounts = [0; CHANGES];
            amounts[UNREAD] = signed(frames);
            let changes = changes(&amounts, self.unread.entry(what).or_insert([0; CHANGES]));
            if changes != [0; CHANGES] {
                let (unit, protocol) =
                    (self.builder.intern("frames"), self.builder.intern(&what.to_string()));
                let present = LedgerColumn::Unread.bit() | LedgerColumn::Protocol.bit();
                let row =
                    LedgerRow { ts: now.0, source: self.source, unit, protocol, ..LedgerRow::default() };
                self.push(row, present, &changes);
            }
        }
    }

    /// Notes how many messages were of no exporter: their records are not known, so they are counted themselves.
    pub(crate) fn note_strays(&mut self, strays: &Strays, now: EventTime) {
        use LedgerColumn as C;
        let whole = SourceLedger {
            offered: strays.messages,
            undecodable: strays.messages,
            ..SourceLedger::default()
        };
        let mut amounts = [0; CHANGES];
        amounts[..FATES].copy_from_slice(&fates(&whole));
        amounts[FATES] = signed(strays.messages);
        let changes = changes(&amounts, &mut self.strays);
        if changes != [0; CHANGES] {
            let unit = self.builder.intern(Unit::Messages.name());
            let row = LedgerRow { ts: now.0, source: self.source, unit, ..LedgerRow::default() };
            self.push(row, C::Messages.bit(), &changes);
        }
    }

    /// The rows since the last call, `None` when there are none.
    pub(crate) fn finish(&mut self) -> Option<RecordBatch> {
        self.append();
        (self.builder.rows() > 0).then(|| self.builder.finish())
    }

    /// Appends what changed in an exporter's account, if anything.
    fn push_exporter(&mut self, account: &ExportAccount, unit: Unit, changes: &Amounts, now: EventTime) {
        use LedgerColumn as C;
        if *changes == [0; CHANGES] {
            return;
        }
        let sender = account.sent_by.one();
        let row = LedgerRow {
            ts: now.0,
            source: self.source,
            exporter: account.exporter.unwrap_or_default(),
            sender: sender.unwrap_or_default(),
            port: account.port,
            observation_domain: account.domain,
            protocol: self.builder.intern(version_name(account.version)),
            unit: self.builder.intern(unit.name()),
            ..LedgerRow::default()
        };
        let is_kept = account.exporter.is_some();
        let has_port = account.port > 0 && self.identity == ExporterIdentity::AddressAndPort;
        let columns = [
            (C::Exporter, is_kept),
            (C::Sender, sender.is_some()),
            (C::Port, has_port),
            (C::ObservationDomain, is_kept),
            (C::Protocol, true),
        ];
        let counters = C::Messages as usize..C::SocketDrops as usize;
        let present =
            columns.iter().filter(|(_, is_there)| *is_there).map(|(column, _)| column.bit()).sum::<u64>()
                + counters.map(|position| 1 << position).sum::<u64>();
        self.push(row, present, changes);
    }

    fn push(&mut self, mut row: LedgerRow, present: u64, changes: &Amounts) {
        use LedgerColumn as C;
        [
            row.offered,
            row.delivered,
            row.filtered,
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
            row.late_rows,
            row.moved_rows,
            row.mended_rows,
            row.clock_behind_ms,
            row.socket_drops,
            row.unread,
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

fn add(sum: &Amounts, more: &Amounts) -> Amounts {
    std::array::from_fn(|column| sum[column] + more[column])
}

fn fates(ledger: &SourceLedger) -> [i64; FATES] {
    let SourceLedger { offered, delivered, filtered, control, undecodable, dropped, lost_before_us } =
        *ledger;
    [offered, delivered, filtered, control, undecodable, dropped, lost_before_us].map(signed)
}

fn amounts_of(account: &ExportAccount) -> Amounts {
    let (counts, sequence, extract) = (&account.counts, &account.sequence, &account.extract);
    let mut amounts = [0; CHANGES];
    amounts[..FATES].copy_from_slice(&fates(&account.ledger()));
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
        extract.rows_late,
        extract.rows_shifted,
        extract.times_mended,
    ];
    amounts[FATES..CLOCK].copy_from_slice(&counters.map(signed));
    amounts[CLOCK] = account.clock_behind_ns.unwrap_or(0) / 1_000_000;
    amounts
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray};
    use std::net::{IpAddr, Ipv4Addr};
    use tapline_decode::export::{Datagram, ExportDecoder, ExportOptions, Sender};

    /// A v5 message without records that says the next flow's number.
    fn message(sequence: u32) -> Vec<u8> {
        let mut message = vec![0; 24];
        message[1] = 5;
        message[16..20].copy_from_slice(&sequence.to_be_bytes());
        message
    }

    #[test]
    fn sums_over_rows_are_the_accounts_whoever_comes_and_goes() {
        let options = ExportOptions { domains_max: 2, domain_idle_ns: 5, ..ExportOptions::default() };
        let mut decoder = ExportDecoder::new(&[], 8, options);
        let columns = [LedgerColumn::Lost as usize, LedgerColumn::Messages as usize];
        let mut ledger = LedgerRows::new(&columns, "udp", ExporterIdentity::AddressAndPort);
        let (mut sums, mut pushed) = ([0, 0], 0);
        for time in 0..100_u16 {
            let sender = Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), 1 + time / 7);
            let received = EventTime(time.into());
            decoder.push(&Datagram { received, sender, payload: &message(u32::from(time % 7) * 3) });
            pushed += 1;
            if time % 3 == 0 || time == 99 {
                ledger.note_exporters(decoder.accounts(), received);
            }
        }
        while let Some(batch) = ledger.finish() {
            for (sum, column) in sums.iter_mut().zip(batch.columns()) {
                *sum += column.as_any().downcast_ref::<Int64Array>().unwrap().iter().flatten().sum::<i64>();
            }
        }
        let lost = decoder.accounts().map(|account| account.ledger().lost_before_us).sum::<u64>();
        assert!(decoder.accounts().any(|account| account.exporter.is_none()), "some were given up");
        assert_eq!((sums, lost > 0), ([signed(lost), pushed], true));
        assert_eq!(decoder.strays().messages, 0);
    }

    /// An IPFIX message of so many records of one octet; the first one has their template.
    fn ipfix(sequence: u32, records: usize) -> Vec<u8> {
        let template = [0, 2, 0, 12, 1, 0, 0, 1, 0, 4, 0, 1];
        let template: &[u8] = if sequence == 0 { &template } else { &[] };
        let set = [&[1, 0, 0, 4 + records as u8][..], &vec![6; records]].concat();
        let length = (16 + template.len() + set.len()) as u8;
        let head = [&[0, 10, 0, length, 0, 0, 0, 1][..], &sequence.to_be_bytes(), &[0, 0, 0, 7]].concat();
        [&head, template, &set].concat()
    }

    #[test]
    fn an_account_that_changes_its_unit_is_taken_back_in_the_old_one() {
        let mut decoder = ExportDecoder::new(&[], 8, ExportOptions::default());
        let columns = [LedgerColumn::Unit as usize, LedgerColumn::Delivered as usize];
        let mut ledger = LedgerRows::new(&columns, "udp", ExporterIdentity::AddressAndPort);
        let sender = Sender::udp(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
        for number in 0..10 {
            let received = EventTime(i64::from(number));
            decoder.push(&Datagram { received, sender, payload: &ipfix(number, 5) });
            ledger.note_exporters(decoder.accounts(), received);
        }
        let mut sums = HashMap::new();
        while let Some(batch) = ledger.finish() {
            let units = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap().iter().flatten();
            let delivered = batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap().values();
            units.zip(delivered).for_each(|(unit, delivered)| {
                *sums.entry(unit.to_owned()).or_default() += delivered;
            });
        }
        assert_eq!(sums, HashMap::from([("records".to_owned(), 0), ("messages".to_owned(), 10)]));
    }

    #[test]
    fn messages_of_no_exporter_have_rows() {
        let columns = [LedgerColumn::Undecodable as usize, LedgerColumn::Messages as usize];
        let mut ledger = LedgerRows::new(&columns, "udp", ExporterIdentity::AddressAndPort);
        let mut strays = Strays { messages: 100, ..Strays::default() };
        ledger.note_strays(&strays, EventTime(0));
        ledger.note_strays(&strays, EventTime(1));
        strays.messages = 104;
        ledger.note_strays(&strays, EventTime(2));
        let batch = ledger.finish().unwrap();
        for column in batch.columns() {
            let changes = column.as_any().downcast_ref::<Int64Array>().unwrap().values();
            assert_eq!(changes[..], [100, 4]);
        }
    }
}
