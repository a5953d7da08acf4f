//! Randomness without a generator: each draw is a pure function of the seed, the face, the number, the index of the
//! request and the subject of the draw. So the order in which requests arrive changes nothing.

/// All draws for one request. FNV-1a hashes the inputs, the finalizer of SplitMix64 spreads them. Neither may change,
/// because a seed written into a test must give the same run next year.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// `face`: number of the face, from its product. `nth`: index of the request of the number, from 1.
    pub(crate) fn new(seed: u64, face: u8, phone: &str, nth: u32) -> Self {
        let start = fnv(0xcbf2_9ce4_8422_2325, &seed.to_le_bytes());
        let start = fnv(start, &[face]);
        let start = fnv(start, phone.as_bytes());
        Self(spread(fnv(start, &nth.to_le_bytes())))
    }

    pub(crate) fn bits(&self, what: &str) -> u64 {
        spread(fnv(self.0, what.as_bytes()))
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&self, what: &str) -> f64 {
        (self.bits(what) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn happens(&self, what: &str, probability: f64) -> bool {
        self.unit(what) < probability
    }

    /// The option whose share of [0, 1) contains the draw; `None` when it exceeds all of them.
    pub(crate) fn pick<T: Copy>(&self, what: &str, options: &[(f64, T)]) -> Option<T> {
        let mut left = self.unit(what);
        for &(probability, option) in options {
            if left < probability {
                return Some(option);
            }
            left -= probability;
        }
        None
    }

    /// A random order of `items`, all equally likely.
    pub(crate) fn shuffle<T>(&self, what: &str, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.bits(&format!("{what} {i}")) % (i as u64 + 1);
            items.swap(i, usize::try_from(j).unwrap_or(0));
        }
    }
}

fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn spread(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_gets_the_same_answer_and_every_part_of_it_counts() {
        let draw = |seed, face, phone, nth, what| Draws::new(seed, face, phone, nth).bits(what);
        let first = draw(1, 0, "+628123457777", 1, "sent");
        assert_eq!(first, draw(1, 0, "+628123457777", 1, "sent"));
        for other in [
            draw(2, 0, "+628123457777", 1, "sent"),
            draw(1, 2, "+628123457777", 1, "sent"),
            draw(1, 0, "+628123457778", 1, "sent"),
            draw(1, 0, "+628123457777", 2, "sent"),
            draw(1, 0, "+628123457777", 1, "read"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn seeds_written_down_keep_their_meaning() {
        assert_eq!(Draws::new(1, 0, "+628123457777", 1).bits("sent"), 13_323_006_283_851_579_618);
    }

    #[test]
    fn probabilities_come_out_near_what_was_asked() {
        let share = |p: f64| {
            let hits = (0..20_000).filter(|&n| Draws::new(9, 0, "+1", n).happens("x", p)).count();
            hits as f64 / 20_000.0
        };
        for p in [0.0, 0.01, 0.3, 0.9, 1.0] {
            assert!((share(p) - p).abs() < 0.01, "{p} came out as {}", share(p));
        }
    }
}
