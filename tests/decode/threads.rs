//! cfitsio under many threads: its file table and its error messages are
//! global to the process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use hiwl::cutout::decode::{DecodeOptions, decode};
use hiwl::cutout::{Decoded, Payload, Rejection};

use super::cases::generated;

/// An answer that compares bit by bit, NaN included.
fn bits(answer: Result<Decoded, Rejection>) -> Result<(usize, Vec<u32>), Rejection> {
    answer.map(|decoded| match decoded {
        Decoded::Bands(image) => (image.width, image.planes.iter().map(|v| v.to_bits()).collect()),
        Decoded::Rgb(image) => (image.width, image.pixels.iter().map(|v| u32::from(*v)).collect()),
    })
}

#[test]
fn sixteen_threads_read_fits_as_one_does() {
    const THREADS: usize = 16;
    const ROUNDS: usize = 10;
    // Every FITS layout, compressed ones and failures, but not the bomb,
    // which would only measure inflate.
    let inputs: Vec<(String, Payload, DecodeOptions)> = generated()
        .iter()
        .filter(|c| {
            !["jpeg-", "png-", "enlarge-", "wcs-", "gzip-bomb"]
                .iter()
                .any(|p| c.name.starts_with(p))
        })
        .map(|c| (c.name.clone(), c.payload(), c.options()))
        .collect();
    assert!(inputs.len() > 100, "{}", inputs.len());
    let alone: Vec<_> = inputs.iter().map(|(_, p, o)| bits(decode(p, o))).collect();
    assert!(alone.iter().filter(|a| a.is_err()).count() > 30, "failures are among them");

    let decoded = AtomicUsize::new(0);
    thread::scope(|scope| {
        for t in 0..THREADS {
            let (inputs, alone, decoded) = (&inputs, &alone, &decoded);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    for k in 0..inputs.len() {
                        // Each thread at another place, so that different
                        // files are open at the same time.
                        let i = (k * 7 + t * 13 + round) % inputs.len();
                        let (name, payload, options) = &inputs[i];
                        assert_eq!(bits(decode(payload, options)), alone[i], "{name}");
                        decoded.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(decoded.into_inner(), THREADS * ROUNDS * inputs.len());
}
