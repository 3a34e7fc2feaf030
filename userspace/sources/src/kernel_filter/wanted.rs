//! Which frames a reader wants, and in which steps the kernel is told when that changes.

use std::sync::{Arc, LazyLock};
use tapline_filter::Predicate;

/// What is needed where all is.
static ALL: LazyLock<[Arc<Predicate>; 1]> = LazyLock::new(|| [Arc::new(Predicate::ALWAYS)]);

/// Which frames a reader wants: those that its source keeps, as far as they are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// One of these holds of each frame that the source keeps, or is to keep next.
    pub(super) kept: Vec<Arc<Predicate>>,
    /// One of these holds of each frame that some query needs.
    pub(super) needed: Vec<Arc<Predicate>>,
    /// Whether somebody needs all frames that are kept, whatever queries need.
    pub(super) needs_all: bool,
    /// Whether somebody needs frames as a whole, and not only their headers.
    pub(super) is_whole: bool,
}

impl Wanted {
    /// All that is kept.
    pub(super) fn all_of(kept: Arc<Predicate>) -> Self {
        Self { kept: vec![kept], needed: ALL.to_vec(), needs_all: false, is_whole: true }
    }

    fn needed(&self) -> &[Arc<Predicate>] {
        if self.needs_all { ALL.as_slice() } else { &self.needed }
    }

    /// What holds of them.
    pub(super) fn predicate(&self) -> Predicate {
        let any = |of: &[Arc<Predicate>]| Predicate::any(of.iter().map(|one| (**one).clone()));
        Predicate::all([any(&self.kept), any(self.needed())])
    }

    /// What holds of the frames that one of these readers wants.
    pub(super) fn by_any<'a>(readers: impl Iterator<Item = &'a Self>) -> Predicate {
        let mut wanted: Vec<Predicate> = vec![];
        for predicate in readers.map(Self::predicate) {
            if !wanted.contains(&predicate) {
                wanted.push(predicate);
            }
        }
        <[Predicate; 1]>::try_from(wanted).map_or_else(Predicate::any, |[wanted]| wanted)
    }

    /// Whether whoever has these frames has others, too, as far as their form says.
    fn has_all_of(&self, others: &Self) -> bool {
        let is_as_long = self.is_whole || !others.is_whole;
        is_as_long && has_all(&self.kept, &others.kept) && has_all(self.needed(), others.needed())
    }

    /// Whether they are the same frames, as far as their form says.
    pub(super) fn is_as(&self, others: &Self) -> bool {
        self.has_all_of(others) && others.has_all_of(self)
    }
}

/// Whether whoever has the frames of these conditions has those of others, too, as far as their form says.
fn has_all(these: &[Arc<Predicate>], others: &[Arc<Predicate>]) -> bool {
    these.iter().any(|one| one.is_always()) || others.iter().all(|other| these.contains(other))
}

/// How the kernel is told one after the other what is wanted, where each takes its time.
#[derive(Debug)]
pub(super) struct Course {
    /// What it was told, or is being told.
    told: Wanted,
    /// What it is to be told behind that, if anything.
    next: Option<Wanted>,
    /// Whether all of it comes that was told.
    comes: bool,
}

impl Course {
    /// Behind something that it was told.
    pub(super) const fn behind(told: Wanted) -> Self {
        Self { told, next: None, comes: true }
    }

    /// Something else is wanted from now on.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Wanted)) {
        let mut wanted = self.next.take().unwrap_or_else(|| self.told.clone());
        change(&mut wanted);
        if wanted.is_as(&self.told) {
            self.told = wanted;
        } else {
            self.next = Some(wanted);
        }
    }

    /// What it is told now, when nobody tells it anything, if there is something.
    pub(super) fn begin_to_tell(&mut self) -> Option<Wanted> {
        let next = self.next.take()?;
        // Where less is wanted nobody waits.
        self.comes = self.told.has_all_of(&next);
        self.told = next;
        Some(self.told.clone())
    }

    /// It knows what it was told.
    pub(super) const fn has_told(&mut self) {
        self.comes = true;
    }

    /// Whoever told it has broken down, so that nobody knows what it knows: it is told what is wanted by now, or else that all
    /// is, which always can be.
    pub(super) fn has_broken_down(&mut self) {
        let all = Wanted::all_of(Arc::new(Predicate::ALWAYS));
        if self.told.is_as(&all) {
            return self.has_told();
        }
        self.next.get_or_insert(all);
        self.told = Wanted { kept: vec![], needed: vec![], needs_all: false, is_whole: false };
        self.comes = false;
    }

    /// Whether all comes that it was told.
    pub(super) const fn comes_as_told(&self) -> bool {
        self.comes
    }

    /// Whether all comes that is wanted.
    pub(super) const fn comes(&self) -> bool {
        self.comes && self.next.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_filter::{Condition, Field};

    fn port(number: u128) -> Arc<Predicate> {
        Arc::new(Condition::is_in(Field::DstPort, [number]).predicate())
    }

    fn always() -> Arc<Predicate> {
        Arc::new(Predicate::ALWAYS)
    }

    #[test]
    fn whoever_wants_less_has_all_that_he_wants() {
        assert!(has_all(&[port(53), port(80)], &[port(80)]) && has_all(&[always()], &[port(80)]));
        assert!(!has_all(&[port(80)], &[port(53), port(80)]) && !has_all(&[port(80)], &[always()]));
        assert!(has_all(&[], &[]) && has_all(&[port(80)], &[]));
    }

    #[test]
    fn a_reader_wants_what_is_kept_as_far_as_it_is_needed() {
        let needs = |needed| Wanted { needed, ..Wanted::all_of(port(53)) };
        let all = Wanted::all_of(port(53));
        assert_eq!(all.predicate(), *port(53));
        let vlan = || Arc::new(Condition::is_in(Field::Vlan, [7]).predicate());
        let [of_port, of_vlan] = [port(53), vlan()].map(|one| (*one).clone());
        assert_eq!(needs(vec![vlan()]).predicate(), Predicate::all([of_port.clone(), of_vlan.clone()]));
        assert!(needs(vec![]).predicate().is_never());
        assert_eq!(Wanted { needs_all: true, ..needs(vec![]) }.predicate(), of_port);
        // Until another selection holds, what either keeps is let through.
        let either = Wanted { kept: vec![port(53), port(80)], ..needs(vec![vlan()]) };
        let any = Predicate::any([of_port, (*port(80)).clone()]);
        assert_eq!(either.predicate(), Predicate::all([any, of_vlan]));
        assert!(either.has_all_of(&needs(vec![vlan()])) && !needs(vec![vlan()]).has_all_of(&either));
        assert!(all.has_all_of(&needs(vec![vlan()])) && !either.has_all_of(&all));
        assert!(all.is_as(&Wanted { needs_all: true, ..needs(vec![vlan()]) }));
        let none = Wanted::all_of(always());
        assert!(none.predicate().is_always() && none.has_all_of(&either));
    }

    #[test]
    fn readers_who_share_frames_have_what_any_of_them_wants() {
        let wants = |kept| Wanted::all_of(port(kept));
        let by_any = |kept: &[u128]| {
            let readers: Vec<Wanted> = kept.iter().map(|kept| wants(*kept)).collect();
            Wanted::by_any(readers.iter())
        };
        let [of_53, of_80] = [port(53), port(80)].map(|one| (*one).clone());
        assert_eq!((by_any(&[53]), by_any(&[53, 53, 53])), (of_53.clone(), of_53.clone()));
        // One after the other goes over to something else.
        let either = Predicate::any([of_80, of_53.clone()]);
        assert_eq!([by_any(&[80, 53, 53]), by_any(&[80, 80, 53])], [either.clone(), either]);
        assert!(Wanted::by_any([wants(53), Wanted::all_of(always())].iter()).is_always());
        let nothing = Wanted { needed: vec![], ..wants(53) };
        assert!(Wanted::by_any([nothing.clone(), nothing.clone()].iter()).is_never());
        assert_eq!(Wanted::by_any([nothing, wants(53)].iter()), of_53);
    }

    #[test]
    fn who_wants_more_waits_and_who_wants_less_does_not() {
        let mut course = Course::behind(Wanted::all_of(port(53)));
        assert!(course.comes() && course.begin_to_tell().is_none());
        // Another selection is told beside the one that holds, and alone when it has taken its place.
        course.change(|wanted| wanted.kept = vec![port(53), port(80)]);
        assert!(!course.comes() && course.begin_to_tell().is_some() && !course.comes());
        course.change(|wanted| wanted.kept = vec![port(80), port(53)]);
        assert!(course.begin_to_tell().is_none() && !course.comes(), "it is told already");
        course.has_told();
        assert!(course.comes() && course.comes_as_told());
        course.change(|wanted| wanted.kept = vec![port(80)]);
        assert_eq!(course.begin_to_tell(), Some(Wanted::all_of(port(80))));
        assert!(course.comes() && course.comes_as_told(), "nobody waits for less");
    }

    #[test]
    fn who_needs_more_of_a_frame_than_headers_waits() {
        let mut course = Course::behind(Wanted::all_of(port(53)));
        course.change(|wanted| wanted.is_whole = false);
        assert!(course.begin_to_tell().is_some_and(|wanted| !wanted.is_whole) && course.comes());
        course.change(|wanted| wanted.is_whole = true);
        assert!(course.begin_to_tell().is_some() && !course.comes());
        course.has_told();
        assert!(course.comes());
    }

    #[test]
    fn what_is_wanted_while_something_is_told_is_told_behind_it() {
        let mut course = Course::behind(Wanted { needed: vec![port(53)], ..Wanted::all_of(always()) });
        course.change(|wanted| wanted.needed.push(port(80)));
        assert!(course.begin_to_tell().is_some());
        course.change(|wanted| wanted.needs_all = true);
        course.change(|wanted| wanted.needed = vec![port(80)]);
        course.has_told();
        assert!(!course.comes());
        let told = course.begin_to_tell().unwrap();
        assert!(told.predicate().is_always() && !course.comes());
        course.has_told();
        // What queries need is not forgotten meanwhile.
        course.change(|wanted| wanted.needs_all = false);
        assert_eq!(course.begin_to_tell().unwrap().predicate(), *port(80));
        assert!(course.comes());
    }

    #[test]
    fn what_was_told_by_who_broke_down_is_not_counted_on() {
        let mut course = Course::behind(Wanted::all_of(port(53)));
        course.change(|wanted| wanted.kept = vec![port(53), port(80)]);
        assert!(course.begin_to_tell().is_some());
        course.has_broken_down();
        assert!(!course.comes());
        let told = course.begin_to_tell().unwrap();
        assert!(told.predicate().is_always() && told.is_whole && !course.comes());
        course.has_told();
        assert!(course.comes());
        // Where something else is wanted by then, that is told.
        course.change(|wanted| wanted.kept = vec![port(80)]);
        assert!(course.begin_to_tell().is_some() && course.comes(), "all comes");
        course.change(|wanted| wanted.kept = vec![port(443)]);
        course.has_broken_down();
        assert_eq!(course.begin_to_tell(), Some(Wanted::all_of(port(443))));
        assert!(!course.comes());
    }

    #[test]
    fn that_somebody_needs_all_is_kept_where_queries_do_anyway() {
        let mut course = Course::behind(Wanted::all_of(always()));
        course.change(|wanted| wanted.needs_all = true);
        assert!(course.comes() && course.begin_to_tell().is_none());
        course.change(|wanted| wanted.needed = vec![port(53)]);
        assert!(course.comes() && course.begin_to_tell().is_none());
        course.change(|wanted| wanted.needs_all = false);
        assert_eq!(course.begin_to_tell().unwrap().predicate(), *port(53));
    }
}
