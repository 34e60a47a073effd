//! JPEG with every marker damaged, and the format's odd corners.

use super::File;

/// A marker segment: where it begins, and where the next one does.
struct Segment {
    marker: u8,
    start: usize,
    end: usize,
}

/// The segments up to the scan, whose data the last one includes.
fn segments(jpeg: &[u8]) -> Vec<Segment> {
    let mut found = vec![Segment { marker: 0xD8, start: 0, end: 2 }];
    let mut at = 2;
    while jpeg[at + 1] != 0xDA {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        found.push(Segment { marker: jpeg[at + 1], start: at, end: at + 2 + length });
        at += 2 + length;
    }
    found.push(Segment { marker: 0xDA, start: at, end: jpeg.len() - 2 });
    found.push(Segment { marker: 0xD9, start: jpeg.len() - 2, end: jpeg.len() });
    found
}

fn spliced(jpeg: &[u8], start: usize, end: usize, with: &[u8]) -> Vec<u8> {
    [&jpeg[..start], with, &jpeg[end..]].concat()
}

/// A segment with its marker and length.
fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&[0xFF, marker], &length[..], content].concat()
}

/// Every marker, in every way that a segment can be wrong.
pub fn damaged(jpeg: &[u8]) -> Vec<File> {
    let mut files = Vec::new();
    for (number, Segment { marker, start, end }) in segments(jpeg).into_iter().enumerate() {
        let mut add = |how: &str, bytes: Vec<u8>| {
            files.push(File::new(format!("jpeg-{number:02}-{marker:02x}-{how}.jpg"), bytes));
        };
        let whole = &jpeg[start..end];
        add("removed", spliced(jpeg, start, end, &[]));
        add("twice", spliced(jpeg, start, start, whole));
        add("cut", jpeg[..start + 1].to_vec());
        add("cut-inside", jpeg[..(start + end) / 2].to_vec());
        add("marker-00", spliced(jpeg, start + 1, start + 2, &[0]));
        add("marker-ff", spliced(jpeg, start + 1, start + 2, &[0xFF]));
        add("marker-unknown", spliced(jpeg, start + 1, start + 2, &[0x02]));
        add("marker-scan", spliced(jpeg, start + 1, start + 2, &[0xDA]));
        if end - start > 4 {
            for length in [0u16, 1, 2, 3, 0x7FFF, 0xFFFF] {
                let bytes = spliced(jpeg, start + 2, start + 4, &length.to_be_bytes());
                add(&format!("length-{length}"), bytes);
            }
            for fill in [0u8, 0xFF] {
                let content = vec![fill; end - start - 4];
                add(&format!("filled-{fill:02x}"), spliced(jpeg, start + 4, end, &content));
            }
        }
    }
    files
}

/// Kinds of JPEG that few programs write, sizes that none can hold, and what
/// cameras and editors put beside the image.
pub fn odd(jpeg: &[u8]) -> Vec<File> {
    let segments = segments(jpeg);
    let frame = segments.iter().find(|s| s.marker == 0xC0).unwrap().start;
    let scan = segments.iter().find(|s| s.marker == 0xDA).unwrap().start;
    let mut files = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| {
        files.push(File::new(format!("jpeg-{name}.jpg"), bytes));
    };
    // Extended, progressive, lossless (C3), differential, arithmetic (C9 to
    // CB), and those of no standard.
    for kind in [0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF] {
        add(format!("frame-{kind:02x}"), spliced(jpeg, frame + 1, frame + 2, &[kind]));
    }
    for bits in [0, 1, 7, 12, 16, 255] {
        add(format!("{bits}-bit"), spliced(jpeg, frame + 4, frame + 5, &[bits]));
    }
    for (height, width) in [
        (0, 0),
        (0, 240),
        (240, 0),
        (1, 1),
        (8, 8),
        (65535, 65535),
        (65535, 1),
        (16384, 1024),
        (241, 243),
    ] {
        let size = [u16::to_be_bytes(height), u16::to_be_bytes(width)].concat();
        add(format!("size-{height}x{width}"), spliced(jpeg, frame + 5, frame + 9, &size));
    }
    for components in [0, 1, 2, 4, 5, 255] {
        add(
            format!("components-{components}"),
            spliced(jpeg, frame + 9, frame + 10, &[components]),
        );
    }
    for sampling in [0x00, 0x10, 0x01, 0x14, 0x44, 0xFF] {
        let bytes = spliced(jpeg, frame + 11, frame + 12, &[sampling]);
        add(format!("sampling-{sampling:02x}"), bytes);
    }
    for table in [3, 4, 255] {
        add(format!("quantisation-{table}"), spliced(jpeg, frame + 12, frame + 13, &[table]));
    }
    // EXIF: the eight orientations, one that is none, and directories that
    // lead to themselves and beyond the end.
    for orientation in 1..=9u8 {
        let exif = exif(orientation, 0);
        add(format!("exif-{orientation}"), spliced(jpeg, 2, 2, &segment(0xE1, &exif)));
    }
    for next in [8, 0xFFFF_FFFF] {
        add(format!("exif-next-{next}"), spliced(jpeg, 2, 2, &segment(0xE1, &exif(1, next))));
    }
    add("exif-cut".into(), spliced(jpeg, 2, 2, &segment(0xE1, b"Exif\0\0II")));
    // ICC profiles: one that is none, one of whose pieces the second is missing.
    let profile = |piece: u8, of: u8| [b"ICC_PROFILE\0", &[piece, of][..], &[7; 500]].concat();
    add("icc".into(), spliced(jpeg, 2, 2, &segment(0xE2, &profile(1, 1))));
    add("icc-piece".into(), spliced(jpeg, 2, 2, &segment(0xE2, &profile(1, 2))));
    add("icc-none".into(), spliced(jpeg, 2, 2, &segment(0xE2, &profile(0, 0))));
    add("adobe".into(), spliced(jpeg, 2, 2, &segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02")));
    add("comment".into(), spliced(jpeg, 2, 2, &segment(0xFE, &[b'c'; 65_000])));
    for interval in [0u16, 1, 65535] {
        let restart = segment(0xDD, &interval.to_be_bytes());
        add(format!("restart-{interval}"), spliced(jpeg, scan, scan, &restart));
    }
    add("junk-before".into(), [b"\r\n", jpeg].concat());
    add("junk-after".into(), [jpeg, &[0xAB; 5000]].concat());
    add("two".into(), [jpeg, jpeg].concat());
    add("scan-twice".into(), [&jpeg[..jpeg.len() - 2], &jpeg[scan..]].concat());
    add("markers-in-scan".into(), spliced(jpeg, scan + 100, scan + 102, &[0xFF, 0xD5]));
    add("zeros-in-scan".into(), spliced(jpeg, scan + 60, scan + 600, &[0; 540]));
    add("ones-in-scan".into(), spliced(jpeg, scan + 60, scan + 600, &[0xFF; 540]));
    for eighth in 1..8 {
        add(format!("cut-{eighth}"), jpeg[..jpeg.len() * eighth / 8].to_vec());
    }
    files
}

/// An EXIF segment's content: one directory with an orientation.
fn exif(orientation: u8, next: u32) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0]);
    exif.extend(next.to_le_bytes());
    exif
}
