//! The stream `ledger`: what became of everything that a source offered, and of the rows of each query.

use crate::stream::stream;

stream! {
    /// One row a source or query and second in which something changed.
    LEDGER: Ledger "ledger" "One row a source or query and second in which something changed; all numbers are changes since the row before. In a row about a query the fates of sources are 0.",
    LedgerColumn, LedgerRow {
        Ts ts: Timestamp, false, "ns", "When it was counted: by the wall clock for a live source, by the last record for files";
        Source source: Text, true, "", "The listener's URL, the interface, or file; NULL in rows about a query";
        Exporter exporter: Address, true, "", "Address that made the records, which in sFlow is the agent's; NULL for what concerns the source as a whole, and for exporters that are not kept any more";
        Sender sender: Address, true, "", "Address that the messages came from; NULL where there are several, and without an exporter";
        Port port: UInt16, true, "", "The exporter's port; NULL where exporters are told apart by address alone";
        ObservationDomain observation_domain: UInt32, true, "", "IPFIX observation domain, v9 source id, v5 engine, sFlow sub-agent";
        Protocol protocol: Text, true, "", "NetFlow v5, NetFlow v9, IPFIX …; of frames that are not read, their EtherType or link type";
        Unit unit: Text, false, "", "What the fates are counted in: flows, datagrams, records, samples, messages; rows between capture and operators; frames; query rows";
        Offered offered: Change, false, "units", "Sum of the fates: delivered + filtered + control + undecodable + dropped + lost";
        Delivered delivered: Change, false, "units", "Became rows";
        Filtered filtered: Change, false, "units", "Frames that a filter or a rule left out, or that no query needs";
        Control control: Change, false, "units", "Templates and options";
        Undecodable undecodable: Change, false, "units", "Could not be decoded, or not yet";
        Dropped dropped: Change, false, "units", "Dropped between capture and operators, for want of room";
        Lost lost: Change, false, "units", "Never arrived, by the exporter's sequence numbers; late arrivals take it back";
        Messages messages: Change, true, "messages", "Export messages that arrived";
        Records records: Change, true, "records", "Data records that became rows";
        LostRecords lost_records: Change, true, "records", "Data records lost; for NetFlow v9 an estimate";
        Reordered reordered: Change, true, "messages", "Messages that came after one with a higher number";
        Duplicates duplicates: Change, true, "messages", "Messages whose number was seen already";
        Restarts restarts: Change, true, "", "Times that the exporter started anew";
        SetsWaited sets_waited: Change, true, "sets", "Sets that had to wait for their template";
        SetsReplayed sets_replayed: Change, true, "sets", "Of these, those whose template came";
        SetsExpired sets_expired: Change, true, "sets", "Of these, those that gave up waiting";
        LateRows late_rows: Change, true, "rows", "Rows that came when the windows they belong to were closed";
        MovedRows moved_rows: Change, true, "rows", "Rows whose times were moved, since the exporter's clock is off";
        MendedRows mended_rows: Change, true, "rows", "Rows with times of no use, or out of order, which were mended";
        ClockBehindMs clock_behind_ms: Change, true, "ms", "How much more the exporter's clock is behind ours than at the row before; the sum is how far it is behind";
        SocketDrops socket_drops: Change, true, "packets", "Packets that the kernel dropped for want of room in the listener's queue; they are among the lost";
        Unread unread: Change, true, "frames", "Frames of a kind that is not read, which protocol names; they are among the delivered";
        QueryName query_name: Text, true, "", "The query that the row is about; NULL in rows about a source";
        QueryDelivered query_delivered: Change, true, "rows", "Rows that reached the query: used + filtered + late + dropped";
        QueryUsed query_used: Change, true, "rows", "Rows that count in a result";
        QueryFiltered query_filtered: Change, true, "rows", "Rows that WHERE left out, or that came after LIMIT was reached";
        QueryLate query_late: Change, true, "rows", "Rows whose window was closed already";
        QueryDropped query_dropped: Change, true, "rows", "Rows of a query without an aggregate whose turn was over: too many waited behind them";
        QueryFolded query_folded: Change, true, "rows", "Of the rows used, those of groups beyond --groups-max, which count in the folded row";
        QueryResultsLost query_results_lost: Change, true, "results", "Results that whoever reads them did not take in time";
    }
}
