//! Reasons in words, and how often each occurred.

/// Declares an enum of reasons, each with the text that a summary prints, and the counters of them.
macro_rules! reasons {
    (
        $(#[$about_reasons:meta])* $Reasons:ident,
        $(#[$about_counts:meta])* $Counts:ident;
        $($(#[$about:meta])* $reason:ident $text:literal;)+
    ) => {
        $(#[$about_reasons])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $Reasons { $(#[doc = concat!("The ", $text, ".")] $(#[$about])* $reason),+ }

        impl $Reasons {
            /// Every reason.
            pub const ALL: [Self; [$(Self::$reason),+].len()] = [$(Self::$reason),+];

            /// The reason in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$reason => $text),+ }
            }
        }

        $(#[$about_counts])*
        ///
        /// Cells of one thread; those of several are added up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Counts([u64; $Reasons::ALL.len()]);

        impl Default for $Counts {
            fn default() -> Self {
                Self([0; $Reasons::ALL.len()])
            }
        }

        impl $Counts {
            /// Counts one more.
            pub fn count(&mut self, reason: $Reasons) {
                self.0[reason as usize] += 1;
            }

            /// How often this reason occurred.
            #[must_use]
            pub const fn of(&self, reason: $Reasons) -> u64 {
                self.0[reason as usize]
            }

            /// How often any of them occurred.
            #[must_use]
            pub fn total(&self) -> u64 {
                self.0.iter().sum()
            }

            /// The reasons that occurred, with how often.
            pub fn iter(&self) -> impl Iterator<Item = ($Reasons, u64)> + '_ {
                $Reasons::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
            }
        }

        impl std::ops::AddAssign for $Counts {
            fn add_assign(&mut self, other: Self) {
                self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum += count);
            }
        }
    };
}

pub(crate) use reasons;

#[cfg(test)]
mod tests {
    use crate::{Damage, DamageCounts};

    #[test]
    fn counts_name_their_reasons_and_add_up() {
        let mut counts = DamageCounts::default();
        counts.count(Damage::SnapLength);
        counts.count(Damage::GtpuTruncated);
        let mut sum = counts;
        sum += counts;
        let seen: Vec<_> = sum.iter().map(|(damage, frames)| (damage.text(), frames)).collect();
        assert_eq!(seen, [("capture's snap length cut off headers", 2), ("GTP-U header is cut short", 2)]);
        assert_eq!((sum.of(Damage::SnapLength), sum.of(Damage::ArpTruncated), sum.total()), (2, 0, 4));
    }
}
