//! What an exporter's clock says, beside ours.
//!
//! Takes the head of each message, gives how far its times are to be moved and whether its sender has started anew.
//! A clock that is off by more than is allowed is put right by when its messages arrive: one that was never set, that
//! steps while it runs or tells another time in each message costs its exporter nothing but the way of the message.

use super::head::Head;

/// A clock that is off by so much more or less than before was set, or stands still; anything below is the way of the
/// messages, and the whole seconds in which some of them tell time.
const STEP_NS: i64 = 2_000_000_000;
/// How far an exporter's start may seem to move without its having started anew.
const BOOT_SLACK_MS: i64 = 30_000;
/// After so long, the milliseconds since an exporter's start begin anew by themselves.
const WRAP_MS: i64 = 1 << 32;

/// The clock of one exporter and domain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// When the exporter started, by its own clock and by ours.
    boot_ms: Option<[i64; 2]>,
    /// How far the exporter's clock is behind ours, the way of the messages included.
    behind_ns: Option<i64>,
    /// When the exporter started in milliseconds, as it announced itself.
    pub(super) init_ms: Option<u64>,
}

impl Clock {
    /// Notes when a message was sent and received.
    pub(super) fn note(&mut self, head: &Head) {
        // The fastest way tells the clock best; one that drifts is followed slowly.
        let (behind, known) = (behind_ns(head), self.known_at(head));
        self.behind_ns = Some(behind.min(known.saturating_add(behind.saturating_sub(known) / 64)));
    }

    /// How far the times of a message are to be moved, when the clock is off by more than `skew_ns_max`.
    pub(super) fn shift_ns(&self, head: &Head, skew_ns_max: i64) -> i64 {
        let known = self.known_at(head);
        if known.saturating_abs() > skew_ns_max { known } else { 0 }
    }

    /// How far the exporter's clock is behind ours.
    pub(super) const fn behind_ns(&self) -> Option<i64> {
        self.behind_ns
    }

    /// Says whether the exporter has started anew since its last message: a clock that is set, be it its own or ours,
    /// moves its start by one of them only.
    pub(super) fn has_restarted(&mut self, head: &Head) -> bool {
        let Some(uptime_ms) = head.uptime_ms else { return false };
        let boot_ms = [head.sent, head.received].map(|time| time.0 / 1_000_000 - i64::from(uptime_ms));
        let before = self.boot_ms.replace(boot_ms).unwrap_or(boot_ms);
        let has_moved = |moved: i64| moved > BOOT_SLACK_MS && (moved - WRAP_MS).abs() > BOOT_SLACK_MS;
        boot_ms.into_iter().zip(before).all(|(now, before)| has_moved(now - before))
    }

    /// What is known of the clock at the time of a message; the message's own where the clock was set meanwhile.
    fn known_at(&self, head: &Head) -> i64 {
        let own = behind_ns(head);
        let agrees = |known: &i64| known.abs_diff(own) <= STEP_NS.unsigned_abs();
        self.behind_ns.filter(agrees).unwrap_or(own)
    }
}

/// How long after a message was sent, by its sender, it came.
const fn behind_ns(head: &Head) -> i64 {
    head.received.0.saturating_sub(head.sent.0)
}

#[cfg(test)]
mod tests {
    use super::super::believed::Believed;
    use super::*;
    use tapline_record::EventTime;
    use tapline_record::column::Symbol;

    const SKEW_NS: i64 = 30_000_000_000;

    /// A message that came at this second, when the exporter's clock showed that one, after so much uptime.
    fn head(received_s: i64, sent_s: i64, uptime_s: i64) -> Head {
        let [received, sent] = [received_s, sent_s].map(|seconds| EventTime::from_parts(seconds, 0));
        Head {
            source: Symbol::default(),
            exporter: [0; 16],
            domain: 0,
            sequence: 0,
            believed: Believed::of(sent, false),
            sent,
            received,
            uptime_ms: Some(1000 * uptime_s as u32),
        }
    }

    /// The shifts of messages that come a second after each other, in seconds, and how many restarts they show.
    fn shifts(sent_s: &[i64]) -> (Vec<i64>, usize) {
        let (mut clock, mut restarts) = (Clock::default(), 0);
        let shift = |(second, &sent_s): (i64, &i64)| {
            let head = head(1_000_000 + second, sent_s, 5_000 + second);
            clock.note(&head);
            restarts += usize::from(clock.has_restarted(&head));
            clock.shift_ns(&head, SKEW_NS) / 1_000_000_000
        };
        let shifts = (0..).zip(sent_s).map(shift).collect();
        (shifts, restarts)
    }

    #[test]
    fn a_clock_is_followed_wherever_it_is_set() {
        let now = 1_000_000;
        assert_eq!(shifts(&[now, now + 1, now + 2]), (vec![0, 0, 0], 0));
        assert_eq!(shifts(&[0, 1, 2]), (vec![now; 3], 0), "it was never set");
        let stands_still = shifts(&[0; 50]).0;
        assert!(
            (now..).zip(&stands_still).all(|(now, shift)| (now - 2..=now).contains(shift)),
            "{stands_still:?}"
        );
        assert_eq!(shifts(&[now - 500, now - 499]), (vec![500, 500], 0), "it is behind");
        assert_eq!(shifts(&[now + 7200, now + 7201]), (vec![-7200, -7200], 0), "it is ahead");
        assert_eq!(shifts(&[now, now - 3599, now - 3598]), (vec![0, 3600, 3600], 0), "it is set back");
        assert_eq!(shifts(&[now - 3600, now - 3599, now + 2]), (vec![3600, 3600, 0], 0), "it is put right");
        assert_eq!(
            shifts(&[now, 0, now + 2, i64::MAX / 2_000_000_000]).0[..3],
            [0, now + 1, 0],
            "nonsense at times"
        );
    }

    #[test]
    fn a_start_that_both_clocks_see_is_one() {
        let mut clock = Clock::default();
        let mut is_restart =
            |received_s, sent_s, uptime_s| clock.has_restarted(&head(received_s, sent_s, uptime_s));
        assert!(!is_restart(1000, 1000, 900));
        assert!(is_restart(1010, 1010, 1), "uptime fell");
        assert!(!is_restart(1020, 8220, 11), "its clock was set ahead");
        assert!(!is_restart(9000, 8230, 21), "ours was");
        assert!(is_restart(9100, 8330, 1));
    }

    #[test]
    fn the_way_of_messages_does_not_move_the_clock() {
        let mut clock = Clock::default();
        for delay_ms in [40_400, 40_100, 41_000, 40_900, 41_900, 40_200] {
            let sent = EventTime::from_parts(1_000_000, 0);
            let head = Head { sent, received: sent.plus(delay_ms * 1_000_000), ..head(0, 0, 0) };
            clock.note(&head);
            assert!((40_100..=40_400).contains(&(clock.shift_ns(&head, SKEW_NS) / 1_000_000)), "{delay_ms}");
        }
    }
}
