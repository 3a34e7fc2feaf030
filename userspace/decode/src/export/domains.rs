//! The exporters and domains that are kept.
//!
//! Takes the key of each message, gives the domain that it belongs to. Their number is limited: when there is no
//! room for a new one, one that was silent for long enough is given up; a guest, of which a few messages came, is so
//! sooner, so that many forged senders do not keep others out for long, nor cost them more than a look. A
//! connection's domain goes on with the account of one whose connection has ended. What was counted of a domain
//! that is given up stays, in one account a protocol version and unit.

use super::account::ExportAccount;
use super::datagram::Transport;
use super::domain::Domain;
use super::domain_key::DomainKey;
use super::options::ExportOptions;
use super::output::Output;
use super::sampling::Sampling;
use super::saved_number::{Numbering, SavedNumber};
use super::template::Template;
use super::undecodable::Undecodable;
use super::unit::Unit;
use super::unit_of;
use super::version::IPFIX;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tapline_record::EventTime;

/// A domain of which no more messages came is a guest.
const GUEST_MESSAGES_MAX: u64 = 3;

/// All domains.
#[derive(Debug, Default)]
pub(super) struct Domains {
    kept: Vec<Kept>,
    index: HashMap<DomainKey, usize>,
    /// Domains whose connection has ended, by their key without its port.
    closed: HashMap<DomainKey, Vec<usize>>,
    /// The domain of the last message, which is most often the next one's too; none after a connection's end.
    last: usize,
    /// The accounts of domains that were given up.
    given_up: BTreeMap<(u8, Unit), ExportAccount>,
    /// When there is no room, none can be given up before.
    full_until: EventTime,
    next_id: u64,
}

/// A domain that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key: DomainKey,
    pub(super) domain: Domain,
    id: u64,
}

impl Kept {
    /// Where the numbers of a UDP exporter are, unless they turned out to count something else than they should.
    pub(super) fn numbers(&self) -> impl Iterator<Item = SavedNumber> {
        let Self { key, domain, .. } = self;
        let is_kept = key.transport == Transport::Udp && Some(domain.unit()) == unit_of(key.version);
        let received = domain.received.max(domain.resumed_from);
        let unsure_since = domain.unsure_since();
        let saved = move |of, next| SavedNumber { key: *key, of, next, received, unsure_since };
        let messages = domain.sequence.next().map(|next| saved(Numbering::Messages, next));
        let samples =
            domain.sources.numbers().map(move |(source, next)| saved(Numbering::Samples(source), next));
        messages.into_iter().chain(samples).filter(move |_| is_kept)
    }
}

impl Domains {
    /// The domain of a message that was received at `now`, a new one if there is room.
    pub(super) fn get(
        &mut self,
        key: DomainKey,
        unit: Unit,
        now: EventTime,
        output: &mut Output,
    ) -> Result<&mut Kept, Undecodable> {
        if self.kept.get(self.last).is_none_or(|last| last.key != key) {
            self.last = match self.index.get(&key) {
                Some(&place) => place,
                None => self.place_for(key, unit, now, output)?,
            };
        }
        Ok(&mut self.kept[self.last])
    }

    /// Tells the domains of the last message's exporter what samplers it has announced in any of them.
    pub(super) fn share_samplers(&mut self) {
        let Some(key) = self.kept.get(self.last).map(|last| last.key) else { return };
        let of_exporter = self.kept.iter_mut().filter(|kept| kept.key.is_of_exporter_of(&key));
        Sampling::share(of_exporter.map(|kept| &mut kept.domain.sampling));
    }

    /// Notes that these messages' connection has ended.
    pub(super) fn close(&mut self, is_of_sender: impl Fn(&DomainKey) -> bool, output: &mut Output) {
        let ended: Vec<_> = self.index.extract_if(|key, _| is_of_sender(key)).collect();
        for (key, place) in ended {
            self.kept[place].domain.end_session(output);
            self.closed.entry(key.without_port()).or_default().push(place);
        }
        self.last = usize::MAX;
    }

    /// The domains that are kept, in the order in which they were first seen, but for those given up.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }

    /// The domains that are kept, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Domain> {
        self.kept.iter_mut().map(|kept| &mut kept.domain)
    }

    /// All accounts; those of what was given up come last.
    pub(super) fn accounts(&self) -> impl Iterator<Item = ExportAccount> + '_ {
        self.kept.iter().map(Kept::account).chain(self.given_up.values().cloned())
    }

    /// All accounts, and what is only known of all of them together: whose templates seem to come from another
    /// port, and which sampling rates no record of an exporter can have.
    pub(super) fn report(&self) -> Vec<ExportAccount> {
        let announces =
            |kept: &&Kept| kept.key.transport == Transport::Udp && kept.domain.counts.templates > 0;
        let announced: HashSet<_> =
            self.kept.iter().filter(announces).map(|kept| kept.key.without_port()).collect();
        let account = |kept: &Kept| {
            let counts = &kept.domain.counts;
            let is_elsewhere = counts.templates == 0 && announced.contains(&kept.key.without_port());
            let sets = if is_elsewhere { counts.sets_waited - counts.sets_replayed } else { 0 };
            let rates = kept.domain.rate_remarks(self.templates_beside(kept));
            ExportAccount { sets_of_other_ports: sets, rates, ..kept.account() }
        };
        self.kept.iter().map(account).chain(self.given_up.values().cloned()).collect()
    }

    /// The templates of all domains of its exporter.
    fn templates_beside<'a>(&'a self, kept: &'a Kept) -> impl Iterator<Item = &'a Template> + Clone {
        let of_exporter = self.kept.iter().filter(|other| other.key.is_of_exporter_of(&kept.key));
        of_exporter.flat_map(|other| other.domain.plans().templates()).map(Arc::as_ref)
    }

    /// A place for a domain that is not known.
    fn place_for(
        &mut self,
        key: DomainKey,
        unit: Unit,
        now: EventTime,
        output: &mut Output,
    ) -> Result<usize, Undecodable> {
        let place = if let Some(place) = self.closed.get_mut(&key.without_port()).and_then(Vec::pop) {
            self.kept[place].key = key;
            place
        } else {
            let place = self.room(now, output)?;
            let is_sibling =
                |kept: &&Kept| kept.key.is_of_exporter_of(&key) && self.index.contains_key(&kept.key);
            let sampling = match self.kept.iter().find(is_sibling) {
                Some(sibling) => sibling.domain.sampling.of_sibling(key.domain),
                None => {
                    Sampling::new(output.options.sampling_rate).of_domain(key.domain, key.version == IPFIX)
                }
            };
            let domain = Domain::new(&key, unit, sampling);
            let kept = Kept { key, domain, id: self.next_id };
            self.next_id += 1;
            if place == self.kept.len() {
                self.kept.push(kept);
            } else {
                self.kept[place] = kept;
            }
            place
        };
        self.index.insert(key, place);
        Ok(place)
    }

    /// A place that is free, or becomes so.
    fn room(&mut self, now: EventTime, output: &mut Output) -> Result<usize, Undecodable> {
        if self.kept.len() < output.options.domains_max {
            return Ok(self.kept.len());
        }
        if now < self.full_until {
            return Err(Undecodable::Cap);
        }
        let until = |place: usize| self.kept[place].kept_until(&output.options);
        let (until, oldest) =
            (0..self.kept.len()).map(|place| (until(place), place)).min().ok_or(Undecodable::Cap)?;
        self.full_until = until;
        if now < self.full_until {
            return Err(Undecodable::Cap);
        }
        self.give_up(oldest, output);
        Ok(oldest)
    }

    /// Gives up the domain at this place; its account goes into that of its version.
    fn give_up(&mut self, place: usize, output: &mut Output) {
        let Kept { key, domain, .. } = &mut self.kept[place];
        domain.end_session(output);
        self.index.remove(key);
        if let Some(closed) = self.closed.get_mut(&key.without_port()) {
            closed.retain(|known| *known != place);
        }
        self.closed.retain(|_, places| !places.is_empty());
        let account = self.kept[place].account();
        let all = self.given_up.entry((account.version, account.unit));
        *all.or_insert_with(|| ExportAccount::of_given_up(account.version, account.unit)) += &account;
    }
}

impl Kept {
    fn account(&self) -> ExportAccount {
        self.domain.account(self.id, &self.key)
    }

    /// Until when the domain is not given up for another one.
    const fn kept_until(&self, options: &ExportOptions) -> EventTime {
        let is_guest = self.domain.counts.messages <= GUEST_MESSAGES_MAX;
        self.domain.received.plus(if is_guest { options.guest_idle_ns } else { options.domain_idle_ns })
    }
}
