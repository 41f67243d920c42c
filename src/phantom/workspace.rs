//! Memory and noise that the slices made by one thread take over from each other: fresh memory costs about as much as
//! filling it.

/// Vectors to be used again.
pub struct Pool<T>(Vec<Vec<T>>);

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Default> Pool<T> {
    /// A vector of this length that holds whatever it held last.
    pub fn take(&mut self, length: usize) -> Vec<T> {
        let mut values = self.0.pop().unwrap_or_default();
        values.resize(length, T::default());
        values
    }
    pub fn give(&mut self, values: Vec<T>) {
        self.0.push(values);
    }
}

/// Nothing in it changes a result.
#[derive(Default)]
pub struct Workspace {
    pub floats: Pool<f32>,
    pub ints: Pool<i32>,
    pub shorts: Pool<i16>,
    /// The random plane that a slice of this index needs next.
    pub next_white: Option<(usize, Vec<i16>)>,
}
