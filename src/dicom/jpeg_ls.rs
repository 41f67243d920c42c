//! JPEG-LS (ITU-T T.87, ISO/IEC 14495-1), lossless and near-lossless, one component of 2 to 16 bits.
//!
//! Input is never trusted: every read is checked, samples are appended line by line (nothing is allocated by a
//! dimension alone), and any byte string gives either an image or a [`JpegLsError`].

/// A decoded picture: `width * height` samples, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JpegLsImage {
    pub width: usize,
    pub height: usize,
    /// Sample precision P of the frame header, 2 to 16.
    pub bits: u8,
    pub samples: Vec<u16>,
}

/// Why some bytes gave no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JpegLsError {
    #[error("these bytes are no JPEG-LS stream: {0}")]
    NotJpegLs(&'static str),
    #[error("the JPEG-LS data end early, in line {line} of {height}")]
    Truncated { line: usize, height: usize },
    #[error("the JPEG-LS header ends early")]
    TruncatedHeader,
    #[error("the JPEG-LS data are damaged: {0}")]
    Corrupt(&'static str),
    #[error("this JPEG-LS stream has {0} components; one is supported")]
    Components(u8),
    #[error("this JPEG-LS stream has {0} bits per sample; 2 to 16 are defined")]
    Precision(u8),
    #[error("this JPEG-LS picture of {width} x {height} is empty or larger than {MAX_SAMPLES} samples")]
    Dimensions { width: usize, height: usize },
    #[error("this JPEG-LS stream uses {0}, which is not supported")]
    Unsupported(&'static str),
}

/// Larger pictures are refused before they are decoded.
pub const MAX_SAMPLES: usize = 1 << 26;

/// Decodes the first picture of a JPEG-LS stream, from SOI on.
///
/// # Errors
/// Anything but a complete, well-formed, single-component stream; see [`JpegLsError`].
pub fn decode(bytes: &[u8]) -> Result<JpegLsImage, JpegLsError> {
    let mut header = HeaderReader { bytes, at: 0 };
    if header.marker()? != SOI {
        return Err(JpegLsError::NotJpegLs("they do not begin with a start of image"));
    }
    let mut frame = None;
    let mut preset = Preset::default();
    let mut restart_lines = 0;
    loop {
        match header.marker()? {
            SOF_LS => {
                if frame.replace(Frame::parse(header.segment()?)?).is_some() {
                    return Err(JpegLsError::Corrupt("there are two frame headers"));
                }
            }
            LSE => preset.parse(header.segment()?)?,
            DRI => restart_lines = parse_restart_interval(header.segment()?)?,
            SOS => {
                let near = parse_scan(header.segment()?)?;
                let frame = frame.ok_or(JpegLsError::Corrupt("the scan comes before the frame header"))?;
                let coding = Coding::new(&frame, &preset, near)?;
                let data = bytes.get(header.at..).unwrap_or_default();
                let samples = decode_scan(data, &frame, &coding, restart_lines)?;
                return Ok(JpegLsImage { width: frame.width, height: frame.height, bits: frame.bits, samples });
            }
            EOI => return Err(JpegLsError::Corrupt("the image ends before its scan")),
            // Application data, comments, tables of other JPEGs.
            0xC4 | 0xDB | 0xE0..=0xEF | 0xFE => {
                header.segment()?;
            }
            0xC0..=0xCF => return Err(JpegLsError::NotJpegLs("the frame header is that of another JPEG")),
            _ => return Err(JpegLsError::Corrupt("an unknown marker stands in the header")),
        }
    }
}

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DRI: u8 = 0xDD;
const SOF_LS: u8 = 0xF7;
const LSE: u8 = 0xF8;

/// Markers and their segments (T.87 C.1, T.81 B.1.1).
struct HeaderReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> HeaderReader<'a> {
    fn byte(&mut self) -> Result<u8, JpegLsError> {
        let byte = *self.bytes.get(self.at).ok_or(JpegLsError::TruncatedHeader)?;
        self.at += 1;
        Ok(byte)
    }
    /// The code after 0xFF; any number of 0xFF may fill the space before it.
    fn marker(&mut self) -> Result<u8, JpegLsError> {
        if self.byte()? != 0xFF {
            return Err(if self.at == 1 {
                JpegLsError::NotJpegLs("they do not begin with a start of image")
            } else {
                JpegLsError::Corrupt("a marker is missing in the header")
            });
        }
        loop {
            match self.byte()? {
                0xFF => {}
                code => return Ok(code),
            }
        }
    }
    fn segment(&mut self) -> Result<Fields<'a>, JpegLsError> {
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        let content = length.checked_sub(2).ok_or(JpegLsError::Corrupt("a segment is shorter than its length"))?;
        let end = self.at.checked_add(content).ok_or(JpegLsError::TruncatedHeader)?;
        let fields = Fields(self.bytes.get(self.at..end).ok_or(JpegLsError::TruncatedHeader)?);
        self.at = end;
        Ok(fields)
    }
}

/// The content of one segment, read from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u8(&mut self) -> Result<u8, JpegLsError> {
        let (&first, rest) = self.0.split_first().ok_or(JpegLsError::Corrupt("a header segment is too short"))?;
        self.0 = rest;
        Ok(first)
    }
    fn u16(&mut self) -> Result<u16, JpegLsError> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }
}

/// The frame header (T.87 C.2.2).
struct Frame {
    bits: u8,
    width: usize,
    height: usize,
}

impl Frame {
    fn parse(mut fields: Fields) -> Result<Self, JpegLsError> {
        let bits = fields.u8()?;
        let height = usize::from(fields.u16()?);
        let width = usize::from(fields.u16()?);
        let components = fields.u8()?;
        if !(2..=16).contains(&bits) {
            return Err(JpegLsError::Precision(bits));
        }
        if components != 1 {
            return Err(JpegLsError::Components(components));
        }
        let samples = width * height; // each at most 65535
        if samples == 0 || samples > MAX_SAMPLES {
            return Err(JpegLsError::Dimensions { width, height });
        }
        Ok(Self { bits, width, height })
    }
}

/// Coding parameters of an LSE segment (T.87 C.2.4.1.1); zero stands for the default.
#[derive(Default)]
struct Preset {
    max_value: u16,
    thresholds: [u16; 3],
    reset: u16,
}

impl Preset {
    fn parse(&mut self, mut fields: Fields) -> Result<(), JpegLsError> {
        match fields.u8()? {
            1 => {
                self.max_value = fields.u16()?;
                self.thresholds = [fields.u16()?, fields.u16()?, fields.u16()?];
                self.reset = fields.u16()?;
                Ok(())
            }
            2 | 3 => Err(JpegLsError::Unsupported("mapping tables")),
            4 => Err(JpegLsError::Unsupported("oversize dimensions")),
            _ => Err(JpegLsError::Corrupt("a parameter segment has an unknown type")),
        }
    }
}

/// Lines between restart markers; 0 for none (T.87 C.2.5: two to four bytes).
fn parse_restart_interval(mut fields: Fields) -> Result<usize, JpegLsError> {
    if !(2..=4).contains(&fields.0.len()) {
        return Err(JpegLsError::Corrupt("the restart interval has a strange length"));
    }
    let mut lines = 0_usize;
    while !fields.0.is_empty() {
        lines = lines << 8 | usize::from(fields.u8()?);
    }
    Ok(lines)
}

/// The scan header (T.87 C.2.3); gives NEAR.
fn parse_scan(mut fields: Fields) -> Result<u8, JpegLsError> {
    let components = fields.u8()?;
    if components != 1 {
        return Err(JpegLsError::Components(components));
    }
    let _component = fields.u8()?;
    if fields.u8()? != 0 {
        return Err(JpegLsError::Unsupported("mapping tables"));
    }
    let near = fields.u8()?;
    if fields.u8()? > 2 {
        return Err(JpegLsError::Corrupt("the interleave mode is unknown"));
    }
    if fields.u8()? != 0 {
        return Err(JpegLsError::Unsupported("a point transform"));
    }
    Ok(near)
}

/// What the coding of a scan follows from (T.87 A.2.1, C.2.4.1.1.1).
#[derive(Debug)]
struct Coding {
    near: i32,
    /// `2 NEAR + 1`.
    step: i32,
    max_value: i32,
    range: i32,
    /// Bits of an escaped error: `ceil(log2(RANGE))`.
    qbpp: u32,
    limit: u32,
    /// T3: from here on every gradient is of the last class.
    steepest: i32,
    /// The class of each gradient from `-steepest` to `steepest`, -4 to 4 (T.87 A.3.3). Gradients of noise cannot be foretold,
    /// so comparing them one threshold after the other would cost more than the whole rest of a sample.
    classes: Vec<i8>,
    reset: i64,
}

impl Coding {
    fn new(frame: &Frame, preset: &Preset, near: u8) -> Result<Self, JpegLsError> {
        let full = (1_i32 << frame.bits) - 1;
        let max_value = if preset.max_value == 0 { full } else { i32::from(preset.max_value) };
        let near = i32::from(near);
        if max_value > full || near > 255.min(max_value / 2) {
            return Err(JpegLsError::Corrupt("its coding parameters are out of range"));
        }
        let mut thresholds = default_thresholds(max_value, near);
        for (threshold, given) in thresholds.iter_mut().zip(preset.thresholds) {
            if given != 0 {
                *threshold = i32::from(given);
            }
        }
        let [t1, t2, t3] = thresholds;
        let reset = if preset.reset == 0 { 64 } else { preset.reset };
        if !(near < t1 && t1 <= t2 && t2 <= t3 && t3 <= max_value) || reset < 3 || i32::from(reset) > max_value.max(255)
        {
            return Err(JpegLsError::Corrupt("its coding parameters are out of range"));
        }
        let step = 2 * near + 1;
        let range = (max_value + 2 * near) / step + 1;
        let bits_for = |values: i32| 32 - (values - 1).leading_zeros();
        let bpp = bits_for(max_value + 1).max(2);
        Ok(Self {
            near,
            step,
            max_value,
            range,
            qbpp: bits_for(range),
            limit: 2 * (bpp + bpp.max(8)),
            steepest: t3,
            classes: (-t3..=t3).map(|gradient| class(gradient, near, thresholds)).collect(),
            reset: i64::from(reset),
        })
    }

    /// The class of a local gradient.
    #[inline]
    fn class(&self, gradient: i32) -> i32 {
        let place = gradient.clamp(-self.steepest, self.steepest) + self.steepest;
        self.classes.get(place as usize).copied().map_or(0, i32::from) // never negative
    }

    /// Prediction plus error, wrapped into the range of samples (T.87 A.4.5).
    #[inline]
    fn sample(&self, predicted: i32, error: i32) -> i32 {
        let mut value = predicted + error * self.step;
        if value < -self.near {
            value += self.range * self.step;
        } else if value > self.max_value + self.near {
            value -= self.range * self.step;
        }
        value.clamp(0, self.max_value)
    }
}

/// T.87 A.3.3.
fn class(gradient: i32, near: i32, [t1, t2, t3]: [i32; 3]) -> i8 {
    let size = gradient.abs();
    let class = if size <= near { 0 } else { 1 + i8::from(size >= t1) + i8::from(size >= t2) + i8::from(size >= t3) };
    if gradient < 0 { -class } else { class }
}

/// T1 to T3 where the stream gives none (T.87 C.2.4.1.1.1).
fn default_thresholds(max_value: i32, near: i32) -> [i32; 3] {
    const BASIC: [i32; 3] = [3, 7, 21];
    let mut floor = near + 1;
    let mut thresholds = [0; 3];
    for (i, threshold) in thresholds.iter_mut().enumerate() {
        let order = i as i32;
        let tolerance = (3 + 2 * order) * near;
        let wanted = if max_value >= 128 {
            let factor = (max_value.min(4095) + 128) / 256;
            factor * (BASIC[i] - (2 + order)) + 2 + order + tolerance
        } else {
            let factor = 256 / (max_value + 1);
            (BASIC[i] / factor + tolerance).max(2 + order)
        };
        *threshold = if wanted > max_value || wanted < floor { floor } else { wanted };
        floor = *threshold;
    }
    thresholds
}

/// The bits of one entropy-coded segment. After a byte of 0xFF the next one carries seven bits (T.87 A.1).
struct Bits<'a> {
    bytes: &'a [u8],
    cache: u64,
    valid: u32,
    after_ff: bool,
}

/// There were not enough bits; the caller knows the line.
struct OutOfBits;

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, cache: 0, valid: 0, after_ff: false }
    }
    fn fill(&mut self) {
        while self.valid <= 56 {
            let Some((&byte, rest)) = self.bytes.split_first() else { return };
            let bits = if self.after_ff { 7 } else { 8 };
            self.cache |= u64::from(byte) << (64 - bits - self.valid);
            self.valid += bits;
            self.after_ff = byte == 0xFF;
            self.bytes = rest;
        }
    }
    /// The next `count` bits, at most 32.
    #[inline]
    fn read(&mut self, count: u32) -> Result<u32, OutOfBits> {
        if self.valid < count {
            self.fill();
            if self.valid < count {
                return Err(OutOfBits);
            }
        }
        if count == 0 {
            return Ok(0);
        }
        let value = self.cache >> (64 - count);
        self.cache <<= count;
        self.valid -= count;
        Ok(value as u32) // at most 32 bits are left
    }
    /// Counts zeros up to the next one, which is taken too; gives up beyond `most`.
    #[inline]
    fn zeros(&mut self, most: u32) -> Result<Option<u32>, OutOfBits> {
        let mut count = 0;
        loop {
            if self.valid == 0 {
                self.fill();
                if self.valid == 0 {
                    return Err(OutOfBits);
                }
            }
            let run = self.cache.leading_zeros().min(self.valid);
            count += run;
            if count > most {
                return Ok(None);
            }
            if run < self.valid {
                // Up to 63 zeros and the one; shifted in two steps because a shift by 64 is undefined.
                self.cache = self.cache << run << 1;
                self.valid -= run + 1;
                return Ok(Some(count));
            }
            self.cache = 0;
            self.valid = 0;
        }
    }
}

/// What stops a line.
enum Stop {
    OutOfBits,
    Corrupt(&'static str),
}
impl From<OutOfBits> for Stop {
    fn from(_: OutOfBits) -> Self {
        Self::OutOfBits
    }
}

/// Statistics of one context (T.87 A.2.1): `a` error sizes, `b` bias, `c` correction, `n` occurrences.
#[derive(Clone, Copy)]
struct Context {
    a: i64,
    b: i64,
    c: i32,
    n: i64,
}

impl Context {
    /// The Golomb parameter (T.87 A.5.1): the least `k`, at most 24, with `n * 2^k >= a`. `n` is positive.
    #[inline]
    fn golomb(n: i64, a: i64) -> u32 {
        if a <= n {
            return 0;
        }
        // With this shift both have the same highest bit; one less would leave n too small.
        let k = n.leading_zeros() - a.leading_zeros();
        (if n << k < a { k + 1 } else { k }).min(24)
    }
    /// T.87 A.6.
    #[inline]
    fn update(&mut self, error: i32, coding: &Coding) {
        self.b += i64::from(error * coding.step);
        self.a += i64::from(error.abs());
        if self.n == coding.reset {
            self.a >>= 1;
            self.b >>= 1;
            self.n >>= 1;
        }
        self.n += 1;
        if self.b <= -self.n {
            self.b = (self.b + self.n).max(1 - self.n);
            self.c = (self.c - 1).max(-128);
        } else if self.b > 0 {
            self.b = (self.b - self.n).min(0);
            self.c = (self.c + 1).min(127);
        }
    }
}

/// Statistics of a run's end (T.87 A.7.2); `negative` is Nn.
#[derive(Clone, Copy)]
struct RunContext {
    a: i64,
    n: i64,
    negative: i64,
}

/// Orders of the run lengths (T.87 A.2.1, table J).
const RUN_ORDER: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// The state between two restart markers.
struct Decoder<'a> {
    coding: &'a Coding,
    bits: Bits<'a>,
    contexts: Vec<Context>,
    runs: [RunContext; 2],
    run_index: usize,
}

impl<'a> Decoder<'a> {
    fn new(coding: &'a Coding, data: &'a [u8]) -> Self {
        let a = i64::from(((coding.range + 32) / 64).max(2));
        Self {
            coding,
            bits: Bits::new(data),
            contexts: vec![Context { a, b: 0, c: 0, n: 1 }; 365],
            runs: [RunContext { a, n: 1, negative: 0 }; 2],
            run_index: 0,
        }
    }

    /// A mapped error by the length-limited Golomb code (T.87 A.5.3).
    #[inline]
    fn mapped_error(&mut self, k: u32, limit: u32) -> Result<i64, Stop> {
        let escape = limit.saturating_sub(self.coding.qbpp + 1);
        let zeros = self.bits.zeros(limit)?.ok_or(Stop::Corrupt("a code word is too long"))?;
        let mapped = if zeros < escape {
            i64::from(zeros) << k | i64::from(self.bits.read(k)?)
        } else {
            i64::from(self.bits.read(self.coding.qbpp)?) + 1
        };
        // An error beyond the range cannot have been coded; later sums rely on that.
        if mapped > 2 * i64::from(self.coding.range) {
            return Err(Stop::Corrupt("a prediction error is out of range"));
        }
        Ok(mapped)
    }

    /// One sample outside runs (T.87 A.4 to A.6).
    #[inline]
    fn regular(&mut self, classes: [i32; 3], ra: i32, rb: i32, rc: i32) -> Result<i32, Stop> {
        let coding = self.coding;
        let number = 81 * classes[0] + 9 * classes[1] + classes[2];
        let sign = if number < 0 { -1 } else { 1 };
        let index = number.unsigned_abs() as usize;
        let Some(&context) = self.contexts.get(index) else { return Err(Stop::Corrupt("a context is out of range")) };
        let edge = if rc >= ra.max(rb) {
            ra.min(rb)
        } else if rc <= ra.min(rb) {
            ra.max(rb)
        } else {
            ra + rb - rc
        };
        let predicted = (edge + sign * context.c).clamp(0, coding.max_value);
        let k = Context::golomb(context.n, context.a);
        let mapped = self.mapped_error(k, coding.limit)?;
        let half = (mapped >> 1) as i32; // at most RANGE
        let odd = mapped & 1 == 1;
        let swapped = coding.near == 0 && k == 0 && 2 * context.b <= -context.n;
        let error = if odd == swapped { half } else { -half - 1 };
        if let Some(context) = self.contexts.get_mut(index) {
            context.update(error, coding);
        }
        Ok(coding.sample(predicted, sign * error))
    }

    /// The sample that ends a run (T.87 A.7.2).
    fn run_end(&mut self, ra: i32, rb: i32) -> Result<i32, Stop> {
        let coding = self.coding;
        let alike = (ra - rb).abs() <= coding.near;
        let kind = usize::from(alike);
        let RunContext { a, n, negative } = self.runs[kind];
        let k = Context::golomb(n, if alike { a + (n >> 1) } else { a });
        let limit = coding.limit - RUN_ORDER[self.run_index] - 1;
        let mapped = self.mapped_error(k, limit)?;
        let doubled = mapped + i64::from(alike);
        let odd = doubled & 1 == 1;
        let size = ((doubled + 1) >> 1) as i32; // at most RANGE + 1
        let error = if (k != 0 || 2 * negative >= n) == odd { -size } else { size };
        let run = &mut self.runs[kind];
        run.negative += i64::from(error < 0);
        run.a += (mapped + 1 - i64::from(alike)) >> 1;
        if run.n == coding.reset {
            run.a >>= 1;
            run.n >>= 1;
            run.negative >>= 1;
        }
        run.n += 1;
        self.run_index = self.run_index.saturating_sub(1);
        let predicted = if alike { ra } else { rb };
        let sign = if !alike && ra > rb { -1 } else { 1 };
        Ok(coding.sample(predicted, sign * error))
    }

    /// The number of repeated samples, at most `left` (T.87 A.7.1).
    fn run_length(&mut self, left: usize) -> Result<usize, Stop> {
        let mut length = 0;
        while self.bits.read(1)? == 1 {
            let whole = 1_usize << RUN_ORDER[self.run_index];
            if whole > left - length {
                return Ok(left);
            }
            length += whole;
            self.run_index = (self.run_index + 1).min(RUN_ORDER.len() - 1);
            if length == left {
                return Ok(left);
            }
        }
        length += self.bits.read(RUN_ORDER[self.run_index])? as usize;
        if length > left { Err(Stop::Corrupt("a run goes beyond its line")) } else { Ok(length) }
    }

    /// One line. Both slices have a sample more on either side: `line[0]` is the neighbour left of the first one,
    /// and the last repeats its neighbour (T.87 A.2.1).
    fn line(&mut self, above: &[i32], line: &mut [i32]) -> Result<(), Stop> {
        let width = line.len() - 2;
        let mut x = 1;
        while x <= width {
            let (ra, rb, rc, rd) = (line[x - 1], above[x], above[x - 1], above[x + 1]);
            let coding = self.coding;
            let classes = [coding.class(rd - rb), coding.class(rb - rc), coding.class(rc - ra)];
            if classes != [0; 3] {
                line[x] = self.regular(classes, ra, rb, rc)?;
                x += 1;
                continue;
            }
            let run = self.run_length(width + 1 - x)?;
            line[x..x + run].fill(ra);
            x += run;
            if x <= width {
                line[x] = self.run_end(ra, above[x])?;
                x += 1;
            }
        }
        Ok(())
    }
}

/// Where the entropy-coded segment at the front ends: at the first 0xFF before a byte with its high bit set.
fn segment_end(data: &[u8]) -> usize {
    data.windows(2).position(|pair| pair[0] == 0xFF && pair[1] >= 0x80).unwrap_or(data.len())
}

/// What follows the restart marker of that number, where it stands at the front.
fn after_restart_marker(data: &[u8], number: usize) -> Result<&[u8], JpegLsError> {
    let fill = data.iter().take_while(|&&byte| byte == 0xFF).count();
    match data.get(fill) {
        Some(&code) if fill > 0 && usize::from(code) == 0xD0 + number % 8 => Ok(&data[fill + 1..]),
        _ => Err(JpegLsError::Corrupt("a restart marker is missing")),
    }
}

fn decode_scan(mut data: &[u8], frame: &Frame, coding: &Coding, restart_lines: usize) -> Result<Vec<u16>, JpegLsError> {
    let Frame { width, height, .. } = *frame;
    let interval = if restart_lines == 0 { height } else { restart_lines };
    let mut samples = Vec::new();
    for (number, first) in (0..height).step_by(interval).enumerate() {
        if number > 0 {
            data = after_restart_marker(data, number - 1)?;
        }
        let (segment, rest) = data.split_at(segment_end(data));
        data = rest;
        let mut decoder = Decoder::new(coding, segment);
        let (mut above, mut line) = (vec![0_i32; width + 2], vec![0_i32; width + 2]);
        for row in first..first.saturating_add(interval).min(height) {
            above[width + 1] = above[width];
            line[0] = above[1];
            decoder.line(&above, &mut line).map_err(|stop| match stop {
                Stop::OutOfBits => JpegLsError::Truncated { line: row + 1, height },
                Stop::Corrupt(what) => JpegLsError::Corrupt(what),
            })?;
            // Samples lie between 0 and MAXVAL, at most 65535.
            samples.extend(line[1..=width].iter().map(|&value| value as u16));
            std::mem::swap(&mut above, &mut line);
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    const FIXTURES: [&str; 12] = [
        "bits02",
        "bits05",
        "bits08",
        "bits12",
        "bits16",
        "bits16-noise",
        "flat",
        "column",
        "near1",
        "near3",
        "near10",
        "restarts",
    ];

    fn fixture(name: &str) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg_ls").join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[test]
    fn golomb_parameter_is_the_least_that_suffices() {
        for n in 1..70 {
            for a in (0..3000).chain([70_000, 1 << 30, i64::MAX >> 32]) {
                let counted = (0..24).find(|k| n << k >= a).unwrap_or(24);
                assert_eq!(Context::golomb(n, a), counted, "{n} and {a}");
            }
        }
    }

    #[test]
    fn every_fixture_decodes_to_what_charls_says() {
        for name in FIXTURES {
            let image = decode(&fixture(&format!("{name}.jls"))).unwrap_or_else(|error| panic!("{name}: {error}"));
            let raw = fixture(&format!("{name}.raw"));
            let words: Vec<u16> = raw.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
            assert_eq!((image.width, image.height), (usize::from(words[0]), usize::from(words[1])), "{name}");
            assert!(image.samples == words[2..], "{name}: samples differ");
        }
    }

    /// Real CT and MR frames, against the digests of another decoder.
    #[test]
    fn real_lossless_frames_match_the_manifest() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
        let Ok(manifest) = std::fs::read(data.join("MANIFEST.json")) else {
            assert!(std::env::var_os("DENS_REQUIRE_DATA").is_none(), "the shared test data are missing");
            eprintln!("SKIPPED: the shared test data are not beside the project");
            return;
        };
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("the manifest is JSON");
        for name in ["syntaxes/ct-jpegls-lossless.dcm", "syntaxes/mr-jpegls-lossless.dcm"] {
            let row = manifest["files"].as_array().expect("files").iter().find(|row| row["file"] == name);
            let row = row.expect("the manifest lists the file");
            let file = std::fs::read(data.join(name)).expect("the file is there");
            let start = file.windows(4).position(|b| b == [0xFF, 0xD8, 0xFF, 0xF7]).expect("a JPEG-LS frame");
            let image = decode(&file[start..]).expect("decodes");
            let intercept = row["rescale_intercept"].as_f64().unwrap_or(0.0) as i16;
            let value = |stored: &u16| (*stored as i16).wrapping_add(intercept).to_le_bytes();
            let bytes: Vec<u8> = image.samples.iter().flat_map(value).collect();
            let digest = hex::encode(Sha256::digest(&bytes));
            assert_eq!(row["values_sha256"], digest, "{name}");
        }
    }

    #[test]
    fn every_shorter_stream_is_an_error() {
        for name in ["bits12", "near3", "restarts"] {
            let whole = fixture(&format!("{name}.jls"));
            // Without the end-of-image marker (2 bytes) all samples are still there.
            for length in 0..whole.len() - 3 {
                assert!(decode(&whole[..length]).is_err(), "{name} cut to {length} bytes");
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_by_name() {
        let whole = fixture("bits12.jls");
        let frame = whole.windows(2).position(|b| b == [0xFF, 0xF7]).expect("a frame header");
        let with = |offset: usize, bytes: &[u8]| {
            let mut changed = whole.clone();
            changed[frame + offset..frame + offset + bytes.len()].copy_from_slice(bytes);
            decode(&changed).unwrap_err()
        };
        assert_eq!(with(4, &[17]), JpegLsError::Precision(17));
        assert_eq!(with(9, &[3]), JpegLsError::Components(3));
        assert_eq!(with(5, &[0, 0]), JpegLsError::Dimensions { width: 33, height: 0 });
        assert!(matches!(with(5, &[0xFF; 4]), JpegLsError::Dimensions { width: 65535, .. }));
        assert!(matches!(
            with(5, &[0x07, 0xD0]),
            JpegLsError::Truncated { height: 2000, .. } | JpegLsError::Corrupt(_)
        ));
        assert!(matches!(with(1, &[0xC0]), JpegLsError::NotJpegLs(_)));
        assert!(matches!(decode(b"\x89PNG"), Err(JpegLsError::NotJpegLs(_))));
        assert_eq!(decode(&[]), Err(JpegLsError::TruncatedHeader));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn damaged_streams_never_panic(
            which in 0..FIXTURES.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            let mut bytes = fixture(&format!("{}.jls", FIXTURES[which]));
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(image) = decode(&bytes) {
                prop_assert_eq!(image.samples.len(), image.width * image.height);
            }
        }

        #[test]
        fn arbitrary_scans_never_panic(bits in 2_u8..=16, near in 0_u8..6, scan in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xF7, 0, 11, bits, 0, 20, 0, 20, 1, 1, 0x11, 0];
            bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, near, 0, 0]);
            bytes.extend(scan);
            if let Ok(image) = decode(&bytes) {
                prop_assert!(image.samples.iter().all(|&v| u32::from(v) < 1 << bits));
            }
        }
    }
}
