//! Where the time of a step goes.

use std::time::{Duration, Instant};

/// A part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Part {
    Pack,
    Stem,
    Expand,
    Depthwise,
    Squeeze,
    Project,
    Head,
    HeadBackward,
    ProjectBackward,
    SqueezeBackward,
    DepthwiseBackward,
    ExpandBackward,
    StemBackward,
}

impl Part {
    /// All of them, in the order of a step.
    pub const ALL: [Self; 13] = [
        Self::Pack,
        Self::Stem,
        Self::Expand,
        Self::Depthwise,
        Self::Squeeze,
        Self::Project,
        Self::Head,
        Self::HeadBackward,
        Self::ProjectBackward,
        Self::SqueezeBackward,
        Self::DepthwiseBackward,
        Self::ExpandBackward,
        Self::StemBackward,
    ];
}

/// Time spent in each part since it was made or reset.
#[derive(Debug, Clone)]
pub struct Clock {
    last: Instant,
    times: [Duration; Part::ALL.len()],
}

impl Default for Clock {
    fn default() -> Self {
        Self { last: Instant::now(), times: Default::default() }
    }
}

impl Clock {
    /// Time that does not count ends here.
    pub(super) fn start(&mut self) {
        self.last = Instant::now();
    }

    /// The time since the last call belongs to `part`.
    pub(super) fn lap(&mut self, part: Part) {
        let now = Instant::now();
        self.times[part as usize] += now - self.last;
        self.last = now;
    }

    /// Time spent in a part.
    pub fn time(&self, part: Part) -> Duration {
        self.times[part as usize]
    }
}
