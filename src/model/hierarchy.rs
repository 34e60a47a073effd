//! The HIWL hierarchy: a 4-class network, then a 2-class network for what
//! falls in the combined class (paper, section 3.1.2 and 4.1).
//!
//! It turns logits into probabilities and labels; where the logits come from
//! is behind [`Infer`], so that every execution of the networks is routed by
//! the same code.
//!
//! Invariant: one outcome an image, in order, and an outcome depends on its
//! image only, never on the batch it came in.

use serde::{Deserialize, Serialize};

use crate::cutout::{Reason, Rejection};
use crate::engine::{Infer, InferPair, InferenceError, Tensors, Want};

/// The five classes of the catalog (paper, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// Completely round smooth.
    Crs,
    /// In-between smooth.
    Ibs,
    /// Cigar-shaped smooth.
    Css,
    /// Edge-on.
    Eo,
    /// Spiral.
    Spi,
}

impl Class {
    /// Every class, in the order of the paper's tables.
    pub const ALL: [Self; 5] = [Self::Crs, Self::Ibs, Self::Css, Self::Eo, Self::Spi];

    /// The label in catalogs and label tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Crs => "CRS",
            Self::Ibs => "IBS",
            Self::Css => "CSS",
            Self::Eo => "EO",
            Self::Spi => "SPI",
        }
    }

    /// The class with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.label() == label)
    }
}

/// Which rows the 2-class network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage2 {
    /// Those whose most probable class of stage 1 is the combined one: the
    /// paper's routing.
    #[default]
    Routed,
    /// Every row, so that every row has all five probabilities.
    All,
}

/// What the two networks say of one cutout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The label by routing: arg-max of stage 1, and of stage 2 where that is
    /// the combined class.
    pub label: Class,
    /// The label's probability.
    pub confidence: f32,
    /// Stage 1: completely round smooth.
    pub p_crs: f32,
    /// Stage 1: in-between smooth.
    pub p_ibs: f32,
    /// Stage 1: spiral.
    pub p_spi: f32,
    /// Stage 1: the combined class.
    pub p_css_eo: f32,
    /// `p_css_eo` times stage 2's cigar-shaped and edge-on, where it ran.
    pub p_css_and_eo: Option<(f32, f32)>,
}

/// An output of the 4-class network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage1Class {
    /// Completely round smooth.
    #[serde(rename = "CRS")]
    Crs,
    /// In-between smooth.
    #[serde(rename = "IBS")]
    Ibs,
    /// Spiral.
    #[serde(rename = "SPI")]
    Spi,
    /// Cigar-shaped or edge-on: what stage 2 tells apart.
    #[serde(rename = "CSS+EO")]
    Combined,
}

/// What each output of the two networks means, in the order of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// Of the 4-class network.
    pub stage1: [Stage1Class; 4],
    /// Of the 2-class network: [`Class::Css`] and [`Class::Eo`].
    pub stage2: [Class; 2],
}

impl Default for Outputs {
    fn default() -> Self {
        use Stage1Class::{Combined, Crs, Ibs, Spi};
        Self { stage1: [Crs, Ibs, Spi, Combined], stage2: [Class::Css, Class::Eo] }
    }
}

impl Outputs {
    /// Whether every class has exactly one output.
    pub fn is_complete(&self) -> bool {
        use Stage1Class::{Combined, Crs, Ibs, Spi};
        [Crs, Ibs, Spi, Combined].iter().all(|c| self.stage1.contains(c))
            && [Class::Css, Class::Eo].iter().all(|c| self.stage2.contains(c))
    }
}

/// How the networks are run.
enum Networks {
    /// Each by itself.
    Apart([Box<dyn Infer>; 2]),
    /// As one.
    Together(Box<dyn InferPair>),
}

/// Both networks and what their outputs mean.
pub struct Hierarchy {
    networks: Networks,
    outputs: Outputs,
}

impl Hierarchy {
    /// Joins two networks whose outputs mean `outputs`.
    ///
    /// # Errors
    /// [`InferenceError::Classes`] unless they have 4 and 2 outputs.
    pub fn new(
        stage1: Box<dyn Infer>,
        stage2: Box<dyn Infer>,
        outputs: Outputs,
    ) -> Result<Self, InferenceError> {
        check_classes([stage1.outputs(), stage2.outputs()])?;
        Ok(Self { networks: Networks::Apart([stage1, stage2]), outputs })
    }

    /// Two networks that are run as one. The second sees what
    /// [`Outputs::combined`] of the first says, or all.
    ///
    /// # Errors
    /// As [`Hierarchy::new`].
    pub fn together(
        networks: Box<dyn InferPair>,
        outputs: Outputs,
    ) -> Result<Self, InferenceError> {
        check_classes(networks.outputs())?;
        Ok(Self { networks: Networks::Together(networks), outputs })
    }

    /// Batches that are worth running at once, each from a thread of its own.
    pub fn lanes(&self) -> usize {
        match &self.networks {
            // One batch has all cores.
            Networks::Apart(_) => 1,
            Networks::Together(networks) => networks.lanes(),
        }
    }

    /// Classifies a batch of crops (see [`Infer::run`]): one outcome an
    /// image, in order. Stage 2 sees the images that `stage2` says, gathered
    /// into one batch.
    ///
    /// An image for which a network's output is not finite is rejected; the
    /// others of its batch are not touched by it.
    ///
    /// # Errors
    /// [`InferenceError`] if the batch could not be run.
    ///
    /// # Panics
    /// If the networks are run as one, and with another `stage2`.
    pub fn classify(
        &self,
        images: &[&[u8]],
        stage2: Stage2,
    ) -> Result<Vec<Result<Prediction, Rejection>>, InferenceError> {
        let (first, both) = match &self.networks {
            Networks::Apart([network, _]) => (rows::<4>(network.as_ref(), images)?, None),
            Networks::Together(networks) => {
                assert_eq!(
                    networks.sees_all(),
                    stage2 == Stage2::All,
                    "networks that route otherwise"
                );
                let [first, second] = networks.logits(images)?;
                (finite_rows::<4>(&first), Some(second))
            }
        };
        let combined: Vec<bool> = first
            .iter()
            .map(|row| {
                row.as_ref().is_some_and(|logits| {
                    stage2 == Stage2::All
                        || self.outputs.stage1[arg_max(logits)] == Stage1Class::Combined
                })
            })
            .collect();
        let chosen = |rows: Vec<_>| -> Vec<_> {
            rows.into_iter().zip(&combined).filter(|(_, c)| **c).map(|(row, _)| row).collect()
        };
        let second = match (&self.networks, both) {
            (Networks::Apart([_, network]), _) => {
                let gathered = images.iter().zip(&combined).filter(|(_, c)| **c);
                let gathered: Vec<&[u8]> = gathered.map(|(image, _)| *image).collect();
                rows::<2>(network.as_ref(), &gathered)?
            }
            (Networks::Together(_), both) => chosen(finite_rows::<2>(&both.unwrap_or_default())),
        };
        let mut second = second.into_iter();
        Ok(first
            .into_iter()
            .zip(combined)
            .map(|(row, ran)| {
                let logits = row.ok_or_else(|| not_finite(1))?;
                let fine = match ran.then(|| second.next()).flatten() {
                    Some(row) => Some(row.ok_or_else(|| not_finite(2))?),
                    None => None,
                };
                Ok(self.outputs.predict(&logits, fine.as_ref()))
            })
            .collect())
    }
}

/// That networks have 4 and 2 outputs.
fn check_classes(found: [usize; 2]) -> Result<(), InferenceError> {
    for (stage, found, expected) in [(1, found[0], 4), (2, found[1], 2)] {
        if found != expected {
            return Err(InferenceError::Classes { stage, expected, found });
        }
    }
    Ok(())
}

impl Outputs {
    /// The output of the 4-class network that means the combined class.
    pub fn combined(&self) -> usize {
        self.stage1.iter().position(|class| *class == Stage1Class::Combined).unwrap_or(0)
    }

    /// Routes one image's logits. `fine` is stage 2's, where it ran; it must
    /// have run where stage 1 says [`Stage1Class::Combined`].
    fn predict(&self, coarse: &[f32; 4], fine: Option<&[f32; 2]>) -> Prediction {
        let p1 = softmax(coarse);
        let p = |class| {
            self.stage1.iter().zip(p1).filter(|(c, _)| **c == class).map(|(_, p)| p).sum::<f32>()
        };
        let p_css_eo = p(Stage1Class::Combined);
        let p_css_and_eo = fine.map(|logits| {
            let [first, second] = softmax(logits).map(|p| p * p_css_eo);
            if self.stage2[0] == Class::Css { (first, second) } else { (second, first) }
        });
        let winner = arg_max(coarse);
        let (label, confidence) = match (self.stage1[winner], fine, p_css_and_eo) {
            (Stage1Class::Crs, ..) => (Class::Crs, p1[winner]),
            (Stage1Class::Ibs, ..) => (Class::Ibs, p1[winner]),
            (Stage1Class::Spi, ..) => (Class::Spi, p1[winner]),
            (Stage1Class::Combined, Some(logits), Some((p_css, p_eo))) => {
                let label = self.stage2[arg_max(logits)];
                (label, if label == Class::Css { p_css } else { p_eo })
            }
            (Stage1Class::Combined, ..) => unreachable!("stage 2 runs on the combined class"),
        };
        Prediction {
            label,
            confidence,
            p_crs: p(Stage1Class::Crs),
            p_ibs: p(Stage1Class::Ibs),
            p_spi: p(Stage1Class::Spi),
            p_css_eo,
            p_css_and_eo,
        }
    }
}

/// One row of logits an image; `None` where one of them is not finite.
fn rows<const N: usize>(
    network: &dyn Infer,
    images: &[&[u8]],
) -> Result<Vec<Option<[f32; N]>>, InferenceError> {
    let mut found = Tensors::default();
    if !images.is_empty() {
        network.run(images, Want::LOGITS, &mut found)?;
    }
    Ok(finite_rows(&found.logits))
}

/// Rows of logits; `None` where one of them is not finite.
fn finite_rows<const N: usize>(logits: &[f32]) -> Vec<Option<[f32; N]>> {
    let (rows, _) = logits.as_chunks::<N>();
    rows.iter().map(|row| row.iter().all(|v| v.is_finite()).then_some(*row)).collect()
}

fn not_finite(stage: u8) -> Rejection {
    Rejection::new(Reason::NotFinite, format!("the network of stage {stage} overflows on it"))
}

/// The first of the largest values. Logits are compared, not probabilities,
/// which may round to ties.
fn arg_max(logits: &[f32]) -> usize {
    logits.iter().enumerate().fold(0, |best, (i, &v)| if v > logits[best] { i } else { best })
}

/// Softmax shifted by the maximum, so that no exponential overflows.
fn softmax<const N: usize>(logits: &[f32; N]) -> [f32; N] {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = logits.map(|v| (v - max).exp());
    let sum: f32 = exp.iter().sum();
    exp.map(|v| v / sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Logits are the image's bytes minus 100; 255 stands for NaN. Notes
    /// which images it saw.
    struct Bytes<const N: usize> {
        offset: usize,
        seen: &'static Mutex<Vec<u8>>,
    }

    impl<const N: usize> Infer for Bytes<N> {
        fn outputs(&self) -> usize {
            N
        }

        fn features(&self) -> usize {
            0
        }

        fn map_side(&self) -> usize {
            0
        }

        fn run(
            &self,
            images: &[&[u8]],
            want: Want,
            to: &mut Tensors,
        ) -> Result<(), InferenceError> {
            to.resize(self, images.len(), want);
            for (image, row) in images.iter().zip(to.logits.chunks_mut(N)) {
                self.seen.lock().unwrap().push(image[0]);
                for (out, &byte) in row.iter_mut().zip(&image[1 + self.offset..]) {
                    *out = if byte == 255 { f32::NAN } else { f32::from(byte) - 100.0 };
                }
            }
            Ok(())
        }
    }

    fn hierarchy(outputs: Outputs) -> (Hierarchy, &'static Mutex<Vec<u8>>) {
        let unseen: &'static Mutex<Vec<u8>> = Box::leak(Box::default());
        let seen: &'static Mutex<Vec<u8>> = Box::leak(Box::default());
        let stage1 = Box::new(Bytes::<4> { offset: 0, seen: unseen });
        let stage2 = Box::new(Bytes::<2> { offset: 4, seen });
        (Hierarchy::new(stage1, stage2, outputs).unwrap(), seen)
    }

    /// Number of the image, four logits, two logits.
    const IMAGES: [&[u8]; 5] = [
        &[0, 101, 100, 100, 100, 100, 105],
        &[1, 100, 100, 100, 103, 102, 100],
        &[2, 100, 255, 100, 100, 100, 100],
        &[3, 0, 0, 0, 200, 100, 255],
        &[4, 90, 100, 100, 100, 100, 100],
    ];

    #[test]
    fn only_the_combined_class_is_routed_and_a_bad_output_rejects_its_image_alone() {
        let (hierarchy, seen) = hierarchy(Outputs::default());
        let rows = hierarchy.classify(&IMAGES, Stage2::Routed).unwrap();
        assert_eq!(*seen.lock().unwrap(), [1, 3]);

        let e = 1f32.exp();
        let crs = rows[0].as_ref().unwrap();
        assert_eq!((crs.label, crs.p_css_and_eo), (Class::Crs, None));
        assert!((crs.confidence - e / (e + 3.0)).abs() < 1e-6);

        let css = rows[1].as_ref().unwrap();
        let (p_css, p_eo) = css.p_css_and_eo.unwrap();
        assert_eq!((css.label, css.confidence), (Class::Css, p_css));
        assert!((p_css + p_eo - css.p_css_eo).abs() < 1e-6);
        let total = css.p_crs + css.p_ibs + css.p_spi + css.p_css_eo;
        assert!((total - 1.0).abs() < 1e-6);
        assert!((p_css / p_eo - (2f32).exp()).abs() < 1e-4);

        assert_eq!(rows[2].as_ref().unwrap_err().reason, Reason::NotFinite);
        assert!(rows[2].as_ref().unwrap_err().detail.contains("stage 1"));
        assert!(rows[3].as_ref().unwrap_err().detail.contains("stage 2"));
        assert_eq!(rows[4].as_ref().unwrap().label, Class::Ibs, "a tie goes to the first");
    }

    #[test]
    fn all_runs_stage_2_on_every_finite_row_and_labels_stay_the_routing_s() {
        let (hierarchy, seen) = hierarchy(Outputs::default());
        let rows = hierarchy.classify(&IMAGES, Stage2::All).unwrap();
        assert_eq!(*seen.lock().unwrap(), [0, 1, 3, 4]);
        let crs = rows[0].as_ref().unwrap();
        assert_eq!(crs.label, Class::Crs);
        let (p_css, p_eo) = crs.p_css_and_eo.unwrap();
        assert!((p_eo / p_css - 5f32.exp()).abs() < 1e-2);
    }

    #[test]
    fn the_model_s_order_of_classes_is_honoured() {
        use Stage1Class::{Combined, Crs, Ibs, Spi};
        let outputs =
            Outputs { stage1: [Combined, Spi, Ibs, Crs], stage2: [Class::Eo, Class::Css] };
        assert!(outputs.is_complete());
        let (hierarchy, _) = hierarchy(outputs);
        let rows = hierarchy.classify(&IMAGES[..2], Stage2::Routed).unwrap();
        let css = rows[0].as_ref().unwrap();
        let (p_css, p_eo) = css.p_css_and_eo.unwrap();
        assert_eq!((css.label, css.confidence), (Class::Css, p_css));
        assert!(p_css > p_eo);
        assert_eq!(rows[1].as_ref().unwrap().label, Class::Crs);

        let twice = Outputs { stage1: [Combined, Combined, Ibs, Crs], ..outputs };
        assert!(!twice.is_complete());
    }

    #[test]
    fn extreme_logits_stay_probabilities() {
        assert_eq!(softmax(&[1e30, -1e30]), [1.0, 0.0]);
        assert_eq!(softmax(&[-1e38, -1e38]), [0.5, 0.5]);
    }

    /// Runs two networks as one, all rows through both.
    struct Joined([Box<dyn Infer>; 2], Stage2);

    impl InferPair for Joined {
        fn outputs(&self) -> [usize; 2] {
            [self.0[0].outputs(), self.0[1].outputs()]
        }

        fn lanes(&self) -> usize {
            3
        }

        fn sees_all(&self) -> bool {
            self.1 == Stage2::All
        }

        fn logits(&self, images: &[&[u8]]) -> Result<[Vec<f32>; 2], InferenceError> {
            let mut found = [Tensors::default(), Tensors::default()];
            for (network, to) in self.0.iter().zip(&mut found) {
                network.run(images, Want::LOGITS, to)?;
            }
            Ok(found.map(|found| found.logits))
        }
    }

    #[test]
    fn networks_run_as_one_say_the_same() {
        let outputs = Outputs::default();
        for stage2 in [Stage2::Routed, Stage2::All] {
            let (apart, seen) = hierarchy(outputs);
            let networks: [Box<dyn Infer>; 2] = [
                Box::new(Bytes::<4> { offset: 0, seen }),
                Box::new(Bytes::<2> { offset: 4, seen }),
            ];
            let together =
                Hierarchy::together(Box::new(Joined(networks, stage2)), outputs).unwrap();
            assert_eq!((apart.lanes(), together.lanes()), (1, 3));
            let expected = apart.classify(&IMAGES, stage2).unwrap();
            assert_eq!(together.classify(&IMAGES, stage2).unwrap(), expected);
        }
    }

    #[test]
    fn networks_with_other_outputs_are_refused() {
        let seen: &'static Mutex<Vec<u8>> = Box::leak(Box::default());
        let four = || Box::new(Bytes::<4> { offset: 0, seen });
        let error = Hierarchy::new(four(), four(), Outputs::default()).err().unwrap();
        assert!(matches!(error, InferenceError::Classes { stage: 2, expected: 2, found: 4 }));
    }
}
