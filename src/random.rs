//! Random numbers that are the same everywhere: splitmix64 as a stream and as a hash. One stream per purpose, keyed by
//! seed, purpose and index, so that nothing depends on the order in which parts are drawn.
//!
//! Functions that differ between platforms in the last bit (logarithm, sine) come from `libm`.

/// By how much the state of splitmix64 grows with every number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
#[inline]
pub fn scramble(state: u64) -> u64 {
    let mut x = state.wrapping_add(STEP);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// FNV-1a of a name, to key a stream by words.
pub fn key_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A stream of random numbers for one purpose of one seed. Its whole state is one number, so it can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream(u64);

impl Stream {
    pub fn new(seed: u64, purpose: u64) -> Self {
        Self(scramble(scramble(seed) ^ scramble(purpose)))
    }
    /// A stream of its own for each `(seed, purpose, index)`.
    pub fn named(seed: u64, purpose: &str, index: u64) -> Self {
        Self(scramble(scramble(scramble(seed) ^ key_of(purpose)) ^ scramble(index)))
    }
    /// The state, to be stored; [`Stream::resumed`] goes on from it.
    pub fn state(&self) -> u64 {
        self.0
    }
    pub fn resumed(state: u64) -> Self {
        Self(state)
    }
    /// The stream after so many numbers.
    #[must_use]
    pub fn jumped(&self, count: u64) -> Self {
        Self(self.0.wrapping_add(STEP.wrapping_mul(count)))
    }
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        scramble(self.0)
    }
    /// Evenly spread between -1 and 1, in steps of 2^-22.
    #[inline]
    pub fn signed(&mut self) -> f32 {
        ((self.next_u64() >> 41) as i32 - (1 << 22)) as f32 / (1 << 22) as f32
    }
    /// Evenly spread in `0..1`, in steps of 2^-53.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// Evenly spread between two values.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
    /// Evenly spread in `0..count`; 0 when `count` is 0. The bias of the multiplication is below 2^-32 for any count here.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next_u64()) * count as u128) >> 64) as usize
    }
    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }
    /// Fisher and Yates' shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // First output of splitmix64 from state 0.
        assert_eq!(scramble(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let mut stream = Stream::named(1, "test", 0);
        let values: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
    }

    #[test]
    fn below_reaches_all_and_nothing_else() {
        let mut stream = Stream::named(1, "test", 1);
        let mut seen = [0; 7];
        (0..7000).for_each(|_| seen[stream.below(7)] += 1);
        assert!(seen.iter().all(|&n| n > 850), "{seen:?}");
        assert_eq!(stream.below(0), 0);
    }

    #[test]
    fn streams_of_other_purposes_differ_and_resume() {
        let first = |purpose: &str, index| Stream::named(5, purpose, index).next_u64();
        assert!(first("a", 0) != first("b", 0) && first("a", 0) != first("a", 1));
        let mut stream = Stream::named(5, "a", 0);
        stream.next_u64();
        let mut again = Stream::resumed(stream.state());
        assert_eq!(stream.next_u64(), again.next_u64());
        let mut jumped = Stream::named(5, "a", 0).jumped(2);
        assert_eq!(stream.next_u64(), jumped.next_u64());
    }
}
