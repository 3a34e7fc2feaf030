//! What became of messages, as the library that sends them tells it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Message as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was not given to the library, or came back.
    Unsent,
    /// The library has it.
    Sent,
    /// Brokers have it.
    Delivered,
}

/// What became of the messages that are on their way.
#[derive(Default)]
pub(crate) struct Reports(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// By the number of the message.
    fates: Vec<Fate>,
    /// Those that the library has.
    on_their_way: usize,
    wrong: Option<String>,
    is_fatal: bool,
}

/// How messages stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    OnTheirWay,
    Delivered,
    /// Some came back.
    Returned,
    /// The library cannot go on.
    Broken,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many messages are to be sent.
    pub(crate) fn begin(&self, messages: usize) {
        *self.lock() = Inner { fates: vec![Fate::Unsent; messages], ..Inner::default() };
    }

    pub(crate) fn is_unsent(&self, number: usize) -> bool {
        self.lock().fates.get(number) == Some(&Fate::Unsent)
    }

    /// The library has a message.
    pub(crate) fn sent(&self, number: usize) {
        let mut inner = self.lock();
        if let Some(fate) = inner.fates.get_mut(number) {
            *fate = Fate::Sent;
            inner.on_their_way += 1;
        }
    }

    pub(crate) fn stand(&self) -> Stand {
        let inner = self.lock();
        match inner.on_their_way {
            _ if inner.is_fatal => Stand::Broken,
            1.. => Stand::OnTheirWay,
            0 if inner.fates.contains(&Fate::Unsent) => Stand::Returned,
            0 => Stand::Delivered,
        }
    }

    /// What was wrong last.
    pub(crate) fn wrong(&self) -> Option<String> {
        self.lock().wrong.clone()
    }

    /// Another library goes on.
    pub(crate) fn mend(&self) {
        let mut inner = self.lock();
        (inner.is_fatal, inner.on_their_way) = (false, 0);
        inner.fates.iter_mut().filter(|fate| **fate == Fate::Sent).for_each(|fate| *fate = Fate::Unsent);
    }

    fn report(&self, number: usize, wrong: Option<String>) {
        let mut inner = self.lock();
        let Some(fate) = inner.fates.get_mut(number).filter(|fate| **fate == Fate::Sent) else { return };
        *fate = if wrong.is_some() { Fate::Unsent } else { Fate::Delivered };
        inner.on_their_way = inner.on_their_way.saturating_sub(1);
        inner.wrong = wrong;
    }
}

/// Whom the library tells.
pub(crate) struct Listener(pub(crate) Arc<Reports>);

impl ClientContext for Listener {
    fn error(&self, error: KafkaError, reason: &str) {
        let mut inner = self.0.lock();
        inner.is_fatal |= error == KafkaError::Global(RDKafkaErrorCode::Fatal);
        inner.wrong = Some(reason.to_owned());
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let returned = result.as_ref().err();
        let wrong = returned.map(|(error, message)| format!("{error} (topic {})", message.topic()));
        self.0.report(number, wrong);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_came_back_are_sent_again_and_others_are_not() {
        let reports = Reports::default();
        reports.begin(3);
        assert_eq!(reports.stand(), Stand::Returned);
        (0..3).for_each(|number| reports.sent(number));
        reports.report(0, None);
        reports.report(1, Some("no such topic".to_owned()));
        assert_eq!((reports.stand(), reports.wrong()), (Stand::OnTheirWay, Some("no such topic".to_owned())));
        reports.report(2, None);
        assert_eq!(reports.stand(), Stand::Returned);
        assert_eq!([0, 1, 2].map(|number| reports.is_unsent(number)), [false, true, false]);
        reports.sent(1);
        // What is given up is told late, and changes nothing then.
        reports.mend();
        reports.report(1, None);
        assert!(reports.is_unsent(1) && !reports.is_unsent(0));
        reports.sent(1);
        reports.report(1, None);
        assert_eq!(reports.stand(), Stand::Delivered);
    }
}
