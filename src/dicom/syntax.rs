//! Transfer syntaxes (PS3.5 section 10, PS3.6 table A-1): how a data set and its pixels are encoded.

/// How the pixels of a data set are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// Plain samples in one element.
    Native,
    /// Plain samples in fragments (PS3.5 A.4.11).
    Fragmented,
    Rle,
    /// Lossy JPEG, processes 1, 2 and 4; only 8 bits can be decoded.
    JpegDct,
    /// Lossless JPEG, process 14.
    JpegLossless,
    JpegLs,
    /// JPEG 2000 part 1, and its high-throughput form (part 15).
    Jpeg2000,
    /// Known by name, not decoded.
    Unsupported,
}

/// One transfer syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    pub uid: &'static str,
    pub name: &'static str,
    pub codec: Codec,
    /// Implicit VR little endian; everything else here is explicit.
    pub implicit: bool,
    pub big_endian: bool,
    pub deflated: bool,
    /// The syntax can only hold lossy pictures.
    pub lossy: bool,
}

const fn explicit(uid: &'static str, name: &'static str, codec: Codec) -> Syntax {
    Syntax { uid, name, codec, implicit: false, big_endian: false, deflated: false, lossy: false }
}

const fn lossy(uid: &'static str, name: &'static str, codec: Codec) -> Syntax {
    Syntax { lossy: true, ..explicit(uid, name, codec) }
}

pub(super) const EXPLICIT_LE: Syntax = explicit("1.2.840.10008.1.2.1", "Explicit VR Little Endian", Codec::Native);
pub(super) const IMPLICIT_LE: Syntax =
    Syntax { implicit: true, ..explicit("1.2.840.10008.1.2", "Implicit VR Little Endian", Codec::Native) };
pub(super) const EXPLICIT_BE: Syntax =
    Syntax { big_endian: true, ..explicit("1.2.840.10008.1.2.2", "Explicit VR Big Endian", Codec::Native) };
const DEFLATED: Syntax = Syntax {
    deflated: true,
    ..explicit("1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", Codec::Native)
};

#[rustfmt::skip]
const TABLE: &[Syntax] = &[
    EXPLICIT_LE,
    IMPLICIT_LE,
    EXPLICIT_BE,
    DEFLATED,
    explicit("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", Codec::Fragmented),
    explicit("1.2.840.10008.1.2.5", "RLE Lossless", Codec::Rle),
    lossy("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", Codec::JpegDct),
    lossy("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 & 4)", Codec::JpegDct),
    explicit("1.2.840.10008.1.2.4.57", "JPEG Lossless (Process 14)", Codec::JpegLossless),
    explicit("1.2.840.10008.1.2.4.70", "JPEG Lossless (Process 14, Selection Value 1)", Codec::JpegLossless),
    explicit("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", Codec::JpegLs),
    lossy("1.2.840.10008.1.2.4.81", "JPEG-LS Near-lossless", Codec::JpegLs),
    explicit("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", Codec::Jpeg2000),
    explicit("1.2.840.10008.1.2.4.91", "JPEG 2000", Codec::Jpeg2000),
    explicit("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Lossless", Codec::Jpeg2000),
    explicit("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Lossless", Codec::Jpeg2000),
    explicit("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", Codec::Jpeg2000),
    explicit("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 & 5), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection (Process 6 & 8), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection (Process 7 & 9), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.55", "JPEG Full Progression (Process 10 & 12), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.56", "JPEG Full Progression (Process 11 & 13), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.58", "JPEG Lossless (Process 15), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.59", "JPEG Extended Hierarchical (Process 16 & 18), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.60", "JPEG Extended Hierarchical (Process 17 & 19), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection Hierarchical (20 & 22), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection Hierarchical (21 & 23), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.63", "JPEG Full Progression Hierarchical (24 & 26), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.64", "JPEG Full Progression Hierarchical (25 & 27), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.65", "JPEG Lossless Hierarchical (Process 28), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.66", "JPEG Lossless Hierarchical (Process 29), retired", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Lossless", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.94", "JPIP Referenced", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile for 2D video", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile for 3D video", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.112", "JPEG XL", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", Codec::Unsupported),
    explicit("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", Codec::Unsupported),
];

impl Syntax {
    /// The syntax of that UID, `None` when it is in no table of ours.
    pub(super) fn find(uid: &str) -> Option<Self> {
        TABLE.iter().find(|s| s.uid == uid).copied()
    }
    /// Pixels come in fragments (PS3.5 A.4).
    pub(super) fn is_encapsulated(&self) -> bool {
        self.codec != Codec::Native
    }
}
