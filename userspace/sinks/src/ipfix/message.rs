//! Messages of IPFIX (RFC 7011): templates, what is said of sampling, and data records, with their numbers.
//!
//! Takes records as fields and octets, gives messages that fit into a frame. Records that know different things have
//! templates of their own, so that none has a zero for what is not known. Nothing is sent here.

use std::collections::HashMap;

/// Octets of a message.
const OCTETS_MAX: usize = 1400;
/// Templates of one exporter: sets of fields that are told apart.
const TEMPLATES_MAX: u16 = 255;
/// Sampling rates that are told apart.
const RATES_MAX: usize = 256;

const VERSION: u16 = 10;
const HEADER_OCTETS: usize = 16;
const SET_HEADER_OCTETS: usize = 4;
/// Numbers of sets (RFC 7011 §3.3.2): of templates, and of templates of options; those of data have their template's.
const TEMPLATES: u16 = 2;
const OPTIONS_TEMPLATES: u16 = 3;
const SAMPLING_TEMPLATE: u16 = 256;
const FIRST_TEMPLATE: u16 = 257;

/// A field of a record: the number of its information element, and its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Field {
    pub(super) id: u16,
    pub(super) octets: u16,
}

/// By what records name how they were sampled: `selectorId`.
pub(super) const SELECTOR: Field = Field { id: 302, octets: 8 };
/// What is said of a selector: `selectorAlgorithm`, `samplingPacketInterval`, `samplingPacketSpace` (RFC 5477).
const SAMPLING: [Field; 3] =
    [Field { id: 304, octets: 2 }, Field { id: 305, octets: 4 }, Field { id: 306, octets: 4 }];
/// One packet is taken, and so many are left out.
const SYSTEMATIC_COUNT_BASED: u16 = 1;

/// A message that grows.
#[derive(Debug, Default)]
pub(super) struct Message {
    octets: Vec<u8>,
    /// The number of the set that is open, and where it begins.
    set: Option<(u16, usize)>,
    records: u32,
}

impl Message {
    /// Appends octets to a set; says whether there was room.
    fn put(&mut self, set: u16, octets: &[u8]) -> bool {
        if self.octets.is_empty() {
            self.octets.resize(HEADER_OCTETS, 0);
        }
        let is_open = self.set.is_some_and(|(open, _)| open == set);
        let needed = octets.len() + if is_open { 0 } else { SET_HEADER_OCTETS };
        if self.octets.len() + needed > OCTETS_MAX {
            return false;
        }
        if !is_open {
            self.end_set();
            self.set = Some((set, self.octets.len()));
            self.octets.extend_from_slice(&set.to_be_bytes());
            self.octets.extend_from_slice(&[0; 2]);
        }
        self.octets.extend_from_slice(octets);
        self.records += u32::from(set >= SAMPLING_TEMPLATE);
        true
    }

    /// Appends a data record; says whether there was room.
    pub(super) fn put_record(&mut self, template: u16, octets: &[u8]) -> bool {
        self.put(template, octets)
    }

    /// Whether nothing is in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.set.is_none()
    }

    fn end_set(&mut self) {
        if let Some((_, start)) = self.set.take() {
            let octets = u16::try_from(self.octets.len() - start).unwrap_or(u16::MAX);
            write(&mut self.octets, start + 2, &octets.to_be_bytes());
        }
    }

    /// The message as it is sent at this second; nothing more is put into it.
    fn finish(&mut self, seconds: u32, sequence: u32, domain: u32) -> &[u8] {
        self.end_set();
        let octets = u16::try_from(self.octets.len()).unwrap_or(u16::MAX);
        let head = [
            &VERSION.to_be_bytes()[..],
            &octets.to_be_bytes(),
            &seconds.to_be_bytes(),
            &sequence.to_be_bytes(),
            &domain.to_be_bytes(),
        ];
        write(&mut self.octets, 0, &head.concat());
        &self.octets
    }
}

fn write(octets: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = octets.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// An exporter with one observation domain: what it has said so far.
#[derive(Debug)]
pub(super) struct Exporter {
    domain: u32,
    /// Data records that were sent, of options too.
    sequence: u32,
    numbers: HashMap<Vec<Field>, u16>,
    templates: Vec<Vec<Field>>,
    rates: Vec<u64>,
    /// How many of these were announced.
    templates_announced: usize,
    rates_announced: usize,
}

/// What is to be announced, and how much of it.
#[derive(Debug)]
pub(super) struct Announcement {
    pub(super) message: Message,
    templates: usize,
    rates: usize,
}

impl Exporter {
    pub(super) fn new(domain: u32) -> Self {
        Self {
            domain,
            sequence: 0,
            numbers: HashMap::new(),
            templates: vec![],
            rates: vec![],
            templates_announced: 0,
            rates_announced: 0,
        }
    }

    /// The number of the template with these fields; `None` where there is no room for one more.
    pub(super) fn template_of(&mut self, fields: &[Field]) -> Option<u16> {
        if let Some(number) = self.numbers.get(fields) {
            return Some(*number);
        }
        let number = u16::try_from(self.templates.len()).ok().filter(|number| *number < TEMPLATES_MAX)?;
        let number = FIRST_TEMPLATE + number;
        self.numbers.insert(fields.to_vec(), number);
        self.templates.push(fields.to_vec());
        Some(number)
    }

    /// The number by which records name this rate, one packet in so many, which is the rate; `None` where it cannot be
    /// announced.
    pub(super) fn selector_of(&mut self, rate: u64) -> Option<u64> {
        if self.rates.contains(&rate) {
            return Some(rate);
        }
        let has_room = self.rates.len() < RATES_MAX && rate > 0 && u32::try_from(rate - 1).is_ok();
        has_room.then(|| {
            self.rates.push(rate);
            rate
        })
    }

    /// Announces everything again: datagrams may be lost, and receivers come later.
    pub(super) const fn announce_again(&mut self) {
        (self.templates_announced, self.rates_announced) = (0, 0);
    }

    /// What is to be announced before records that rest on it; `None` where all was.
    pub(super) fn announcement(&self) -> Option<Announcement> {
        let mut announcement =
            Announcement { message: Message::default(), templates: self.templates_announced, rates: 0 };
        let message = &mut announcement.message;
        let templates = (FIRST_TEMPLATE..).zip(&self.templates).skip(self.templates_announced);
        for (number, fields) in templates {
            if !message.put(TEMPLATES, &template(number, fields)) {
                return Some(announcement);
            }
            announcement.templates += 1;
        }
        announcement.rates = self.rates_announced;
        let rates = self.rates.get(self.rates_announced..).unwrap_or_default();
        if !rates.is_empty() && !message.put(OPTIONS_TEMPLATES, &sampling_template()) {
            return Some(announcement);
        }
        for rate in rates {
            if !message.put(SAMPLING_TEMPLATE, &sampling(*rate)) {
                return Some(announcement);
            }
            announcement.rates += 1;
        }
        (!announcement.message.is_empty()).then_some(announcement)
    }

    /// Notes that it was sent.
    pub(super) fn announced(&mut self, announcement: &Announcement) {
        self.templates_announced = announcement.templates;
        self.rates_announced = self.rates_announced.max(announcement.rates);
    }

    /// A message as it is sent at this second.
    pub(super) fn finish<'a>(&self, message: &'a mut Message, seconds: u32) -> &'a [u8] {
        message.finish(seconds, self.sequence, self.domain)
    }

    /// Notes that a message was sent.
    pub(super) const fn sent(&mut self, message: &Message) {
        self.sequence = self.sequence.wrapping_add(message.records);
    }
}

fn template(number: u16, fields: &[Field]) -> Vec<u8> {
    let count = u16::try_from(fields.len()).unwrap_or(u16::MAX);
    [&number.to_be_bytes()[..], &count.to_be_bytes(), &descriptions(fields)].concat()
}

fn descriptions(fields: &[Field]) -> Vec<u8> {
    let description = |field: &Field| [field.id.to_be_bytes(), field.octets.to_be_bytes()].concat();
    fields.iter().flat_map(description).collect()
}

/// The template of what is said of a selector, which is its scope.
fn sampling_template() -> Vec<u8> {
    let fields = [&[SELECTOR][..], &SAMPLING].concat();
    let count = u16::try_from(fields.len()).unwrap_or(u16::MAX);
    let scopes: u16 = 1;
    let head = [SAMPLING_TEMPLATE, count, scopes].map(u16::to_be_bytes).concat();
    [head, descriptions(&fields)].concat()
}

/// That a selector takes one packet in so many.
fn sampling(rate: u64) -> Vec<u8> {
    let left_out = u32::try_from(rate.saturating_sub(1)).unwrap_or(u32::MAX);
    [
        &rate.to_be_bytes()[..],
        &SYSTEMATIC_COUNT_BASED.to_be_bytes(),
        &1_u32.to_be_bytes(),
        &left_out.to_be_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: [Field; 2] = [Field { id: 7, octets: 2 }, Field { id: 11, octets: 2 }];

    fn u16_at(octets: &[u8], at: usize) -> u16 {
        u16::from_be_bytes([octets[at], octets[at + 1]])
    }

    fn sequence(octets: &[u8]) -> u32 {
        u32::from_be_bytes([octets[8], octets[9], octets[10], octets[11]])
    }

    /// Numbers and lengths of the sets of a message.
    fn sets(octets: &[u8]) -> Vec<(u16, u16)> {
        assert_eq!((u16_at(octets, 0), usize::from(u16_at(octets, 2))), (10, octets.len()));
        let (mut sets, mut at) = (vec![], HEADER_OCTETS);
        while at < octets.len() {
            sets.push((u16_at(octets, at), u16_at(octets, at + 2)));
            at += usize::from(u16_at(octets, at + 2));
        }
        assert_eq!(at, octets.len());
        sets
    }

    /// Announces all that is to be; gives the sets of each message.
    fn announce(exporter: &mut Exporter) -> Vec<Vec<(u16, u16)>> {
        let mut messages = vec![];
        while let Some(mut announcement) = exporter.announcement() {
            messages.push(sets(exporter.finish(&mut announcement.message, 1)));
            exporter.sent(&announcement.message);
            exporter.announced(&announcement);
        }
        messages
    }

    #[test]
    fn templates_come_once_and_again_and_records_are_counted() {
        let mut exporter = Exporter::new(7);
        assert!(exporter.announcement().is_none());
        assert_eq!(exporter.template_of(&PORTS), Some(257));
        assert_eq!((exporter.template_of(&PORTS[..1]), exporter.template_of(&PORTS)), (Some(258), Some(257)));
        assert_eq!(announce(&mut exporter), [[(2, 4 + 12 + 8)]]);
        assert!(exporter.announcement().is_none());
        let mut message = Message::default();
        assert!(message.put_record(257, &[0, 1, 0, 2]) && message.put_record(257, &[0, 3, 0, 4]));
        assert!(message.put_record(258, &[0, 5]));
        let octets = exporter.finish(&mut message, 9).to_vec();
        assert_eq!((sets(&octets), sequence(&octets)), (vec![(257, 12), (258, 6)], 0));
        assert_eq!(octets[4..8], [0, 0, 0, 9]);
        assert_eq!(octets[12..16], [0, 0, 0, 7]);
        exporter.sent(&message);
        let mut next = Message::default();
        next.put_record(257, &[0; 4]);
        assert_eq!(sequence(exporter.finish(&mut next, 9)), 3);
        exporter.announce_again();
        assert_eq!(announce(&mut exporter).len(), 1);
    }

    #[test]
    fn sampling_is_said_of_each_rate_and_counts_as_records() {
        let mut exporter = Exporter::new(1);
        assert_eq!([exporter.selector_of(100), exporter.selector_of(1)], [Some(100), Some(1)]);
        assert_eq!([exporter.selector_of(100), exporter.selector_of(0)], [Some(100), None]);
        assert_eq!(exporter.selector_of(u64::MAX), None);
        assert_eq!(announce(&mut exporter), [[(3, 4 + 6 + 16), (256, 4 + 2 * 18)]]);
        assert_eq!(exporter.sequence, 2);
        assert_eq!((2..1000).filter(|&rate| exporter.selector_of(rate).is_some()).count(), 255);
        assert_eq!(exporter.rates.len(), RATES_MAX);
        let octets: Vec<u16> = announce(&mut exporter).concat().iter().map(|(_, octets)| *octets).collect();
        assert!(octets.iter().all(|octets| usize::from(*octets) <= OCTETS_MAX), "{octets:?}");
        assert_eq!(exporter.sequence, 256);
    }

    #[test]
    fn there_is_a_limit_of_templates_and_of_octets() {
        let mut exporter = Exporter::new(1);
        let fields = |number: u16| [Field { id: 1, octets: number }; 40];
        for number in 0..TEMPLATES_MAX {
            assert_eq!(exporter.template_of(&fields(number)), Some(FIRST_TEMPLATE + number));
        }
        assert_eq!(exporter.template_of(&fields(TEMPLATES_MAX)), None);
        let messages = announce(&mut exporter);
        assert_eq!(messages.len(), 32, "eight templates of 164 octets fit into a message");
        let mut message = Message::default();
        let records = (0..).take_while(|_| message.put_record(257, &[1; 100])).count();
        assert_eq!(records, 13);
        assert!(exporter.finish(&mut message, 1).len() <= OCTETS_MAX);
    }
}
