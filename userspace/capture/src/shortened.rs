//! Mapped files that another program shortens while they are read.
//!
//! Whoever looks at a page that a file no longer has gets SIGBUS, by which a process ends. Here that page, and all
//! behind it of the mapping, are zeros from then on, and the mapping says so: what was seen of it since is not to be
//! believed. A SIGBUS for any other reason goes to whoever handled it before.

use std::mem::{MaybeUninit, transmute};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t};

/// Mappings that are watched at once; others end the process as everywhere.
const MAPPINGS_MAX: usize = 256;

/// The start of a slot that is about to be taken.
const RESERVED: usize = usize::MAX;

/// Where a mapping lies; a start of 0 is none.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    /// The first address behind which there are zeros, if there are any.
    cut: AtomicUsize,
}

static SLOTS: [Slot; MAPPINGS_MAX] = [const {
    Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), cut: AtomicUsize::new(usize::MAX) }
}; MAPPINGS_MAX];

/// What handled SIGBUS before, and the size of a page.
static BEFORE: OnceLock<(libc::sigaction, usize)> = OnceLock::new();

/// A mapping that is watched, until this is let go: before the mapping is.
pub(super) struct Watch(&'static Slot);

impl Watch {
    /// Watches a mapping; `None` where too many are watched, or the system does not allow it.
    pub(super) fn new(map: &[u8]) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let take = |slot: &&Slot| {
            slot.start.compare_exchange(0, RESERVED, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let slot = SLOTS.iter().find(take)?;
        slot.cut.store(usize::MAX, Ordering::Relaxed);
        slot.end.store(map.as_ptr_range().end as usize, Ordering::Relaxed);
        slot.start.store(map.as_ptr() as usize, Ordering::Release);
        Some(Self(slot))
    }

    /// Whether some of what was read of the mapping was zeros instead.
    pub(super) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Relaxed) < usize::MAX
    }

    /// Whether there are zeros, as far as is known, in `octets` of the mapping.
    #[inline]
    pub(super) fn is_cut_within(&self, octets: &[u8]) -> bool {
        octets.as_ptr_range().end as usize > self.0.cut.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.start.store(0, Ordering::Release);
    }
}

impl Slot {
    fn holds(&self, address: usize) -> bool {
        let start = self.start.load(Ordering::Acquire);
        start != 0 && start <= address && address < self.end.load(Ordering::Relaxed)
    }
}

/// Installs the handler, once.
fn is_installed() -> bool {
    BEFORE.get_or_init(install);
    BEFORE.get().is_some_and(|(_, page)| *page > 0)
}

/// What was before, and the size of a page: 0 where the handler could not be installed.
fn install() -> (libc::sigaction, usize) {
    // SAFETY: all zeros is a valid sigaction: the default, with an empty mask.
    let (mut action, mut before) = unsafe {
        (MaybeUninit::<libc::sigaction>::zeroed().assume_init(), MaybeUninit::zeroed().assume_init())
    };
    action.sa_sigaction = on_bus_error as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: reads a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    // SAFETY: both are valid, and the handler does nothing that a signal handler may not do.
    let outcome = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before) };
    (before, if outcome == 0 { page } else { 0 })
}

extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gave us a valid siginfo, which of SIGBUS has an address.
    let address = unsafe { (*info).si_addr() } as usize;
    let is_mended = SLOTS.iter().find(|slot| slot.holds(address)).is_some_and(|slot| fill(slot, address));
    if !is_mended {
        pass_on(signal, info, context);
    }
}

/// Puts zeros where the file has no pages any more; says whether that was possible.
fn fill(slot: &Slot, address: usize) -> bool {
    let Some((_, page)) = BEFORE.get() else { return false };
    let first = address & !(page - 1);
    let octets = slot.end.load(Ordering::Relaxed) - first;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    slot.cut.fetch_min(first, Ordering::Relaxed);
    // SAFETY: the pages are part of a mapping of ours, which is read-only, stays readable, and is unmapped as a whole.
    let filled = unsafe { libc::mmap(first as *mut c_void, octets, libc::PROT_READ, flags, -1, 0) };
    filled != libc::MAP_FAILED
}

/// Lets whoever handled it before do so.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    type Informed = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
    match BEFORE.get().map(|(before, _)| before) {
        Some(before) if before.sa_flags & libc::SA_SIGINFO != 0 && before.sa_sigaction > libc::SIG_IGN => {
            // SAFETY: it was installed as a handler of this kind.
            let handler = unsafe { transmute::<usize, Informed>(before.sa_sigaction) };
            handler(signal, info, context);
        }
        _ => {
            // SAFETY: by default the process ends when it looks there again, at once.
            unsafe { libc::sigaction(signal, &MaybeUninit::zeroed().assume_init(), null_mut()) };
        }
    }
}
