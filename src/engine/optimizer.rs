//! Optimisers: stochastic gradient descent and AdamW with PyTorch's
//! semantics, and an exponential average of the weights.
//!
//! State is kept by parameter name, so that checkpoints can hold it and
//! resume exactly. The learning rate comes from the caller, step by step.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::fused::learn::Parameter;

/// An update rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// `g += decay · w; b = momentum · b + g` (the first `b` is `g`), then
    /// `w −= rate · b`, or with Nesterov `w −= rate · (g + momentum · b)`.
    Sgd {
        /// Share of the old velocity kept.
        momentum: f32,
        /// Whether the step looks ahead.
        nesterov: bool,
        /// Times the weights, added to the gradient.
        weight_decay: f32,
    },
    /// Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2.
    AdamW {
        /// Shares of the old moments kept.
        betas: [f64; 2],
        /// Added to the root of the second moment.
        eps: f64,
        /// Times rate and weights, subtracted from the weights.
        weight_decay: f32,
    },
}

/// What the learning rate of some layers is multiplied by.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerRates(BTreeMap<String, f64>);

impl LayerRates {
    /// Factors by the names of layers, which are how the names of their parameters
    /// begin; the longest that fits is a parameter's.
    pub fn new(factors: BTreeMap<String, f64>) -> Self {
        Self(factors)
    }

    /// The factor of a parameter; 1 where its layer has none.
    pub fn of(&self, parameter: &str) -> f64 {
        let fits = |layer: &str| {
            let rest = parameter.strip_prefix(layer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let own = self.0.iter().filter(|(layer, _)| fits(layer));
        own.max_by_key(|(layer, _)| layer.len()).map_or(1.0, |(_, factor)| *factor)
    }

    /// Whether they change nothing.
    pub fn are_even(&self) -> bool {
        self.0.values().all(|factor| *factor == 1.0)
    }
}

/// A rule and what it remembers of each parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimizer {
    rule: Rule,
    layers: LayerRates,
    /// Whether decay is for matrices alone, or for all parameters as in
    /// PyTorch's default and the HIWL authors' recipe.
    decay_matrices_only: bool,
    state: BTreeMap<String, State>,
}

/// What is remembered of a parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Steps taken.
    pub steps: u64,
    /// Velocity, or first moment.
    pub first: Vec<f32>,
    /// Second moment; empty for stochastic gradient descent.
    pub second: Vec<f32>,
}

impl Optimizer {
    /// Remembers nothing yet.
    pub fn new(rule: Rule, decay_matrices_only: bool) -> Self {
        Self { rule, layers: LayerRates::default(), decay_matrices_only, state: BTreeMap::new() }
    }

    /// The same with learning rates that differ by layer.
    pub fn with_layers(self, layers: LayerRates) -> Self {
        Self { layers, ..self }
    }

    /// Moves the parameters by their gradients.
    pub fn step<'a>(&mut self, parameters: impl Iterator<Item = &'a mut Parameter>, rate: f64) {
        let parameters: Vec<_> = parameters.collect();
        for parameter in &parameters {
            if !self.state.contains_key(&parameter.name) {
                self.state.insert(parameter.name.clone(), State::default());
            }
        }
        let mut states: BTreeMap<&str, &mut State> =
            self.state.iter_mut().map(|(name, state)| (name.as_str(), state)).collect();
        let mut work: Vec<_> = parameters
            .into_iter()
            .filter_map(|parameter| {
                let state = states.remove(parameter.name.as_str())?;
                Some((parameter, state))
            })
            .collect();
        let (rule, layers, matrices_only) = (self.rule, &self.layers, self.decay_matrices_only);
        work.par_iter_mut().for_each(|(parameter, state)| {
            let decays = parameter.decays || !matrices_only;
            let rate = rate * layers.of(&parameter.name);
            apply(rule, parameter, state, decays, rate);
            state.steps += 1;
        });
    }

    /// What is remembered, by parameter name.
    pub fn state(&self) -> &BTreeMap<String, State> {
        &self.state
    }

    /// Remembers this instead, as when a run goes on.
    pub fn restore(&mut self, state: BTreeMap<String, State>) {
        self.state = state;
    }
}

fn apply(rule: Rule, parameter: &mut Parameter, state: &mut State, decays: bool, rate: f64) {
    let Parameter { values, gradient, .. } = parameter;
    let len = values.len();
    match rule {
        Rule::Sgd { momentum, nesterov, weight_decay } => {
            let decay = if decays { weight_decay } else { 0.0 };
            let rate = rate as f32;
            // The first velocity is the gradient, which `0 · momentum + g` is too.
            state.first.resize(len, 0.0);
            let ahead = if nesterov { momentum } else { 1.0 };
            let own = if nesterov { 1.0 } else { 0.0 };
            for ((w, &g), b) in values.iter_mut().zip(&*gradient).zip(&mut state.first) {
                let g = g + decay * *w;
                *b = momentum * *b + g;
                *w -= rate * (own * g + ahead * *b);
            }
        }
        Rule::AdamW { betas: [b1, b2], eps, weight_decay } => {
            let decay = if decays { 1.0 - (rate * f64::from(weight_decay)) as f32 } else { 1.0 };
            state.first.resize(len, 0.0);
            state.second.resize(len, 0.0);
            let t = (state.steps + 1) as f64;
            let step = (rate / (1.0 - b1.powf(t))) as f32;
            let root = (1.0 / (1.0 - b2.powf(t)).sqrt()) as f32;
            let (b1, b2, eps) = (b1 as f32, b2 as f32, eps as f32);
            let moments = state.first.iter_mut().zip(&mut state.second);
            for ((w, &g), (m, v)) in values.iter_mut().zip(&*gradient).zip(moments) {
                *w *= decay;
                *m += (1.0 - b1) * (g - *m);
                *v = b2 * *v + (1.0 - b2) * g * g;
                *w -= step * *m / (v.sqrt() * root + eps);
            }
        }
    }
}

/// An exponential moving average of tensors by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Average {
    /// Share of the old average kept at each update.
    decay: f32,
    /// Updates so far.
    updates: u64,
    values: BTreeMap<String, Vec<f32>>,
}

impl Average {
    /// Of nothing yet; `decay` such as 0.999.
    pub fn new(decay: f32) -> Self {
        Self { decay, updates: 0, values: BTreeMap::new() }
    }

    /// Takes the tensors as they are now in. While there are few updates the
    /// average is over all of them: the decay is at most
    /// `(1 + updates) / (10 + updates)`.
    pub fn update<'a>(&mut self, tensors: impl Iterator<Item = (&'a str, &'a [f32])>) {
        let n = self.updates as f32;
        let keep = self.decay.min((1.0 + n) / (10.0 + n));
        for (name, values) in tensors {
            match self.values.get_mut(name) {
                Some(old) => {
                    for (old, new) in old.iter_mut().zip(values) {
                        *old += (1.0 - keep) * (new - *old);
                    }
                }
                None => {
                    self.values.insert(name.to_owned(), values.to_vec());
                }
            }
        }
        self.updates += 1;
    }

    /// The averages by name.
    pub fn values(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.values
    }

    /// Updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Goes on from averages and their number of updates.
    pub fn restore(&mut self, values: BTreeMap<String, Vec<f32>>, updates: u64) {
        (self.values, self.updates) = (values, updates);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_start_short_and_grow_to_their_decay() {
        let mut average = Average::new(0.5);
        let mut expected = 1.0;
        for (update, value) in [1.0, 3.0, -2.0, 5.0, 0.5, 7.0, 1.0, 2.0, 4.0, 8.0, 9.0, 3.0, 1.0]
            .into_iter()
            .enumerate()
        {
            average.update(std::iter::once(("w", &[value][..])));
            let n = update as f32;
            let keep = ((1.0 + n) / (10.0 + n)).min(0.5);
            expected = if update == 0 { value } else { keep * expected + (1.0 - keep) * value };
            let found = average.values()["w"][0];
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        let mut resumed = Average::new(0.5);
        resumed.restore(average.values().clone(), average.updates());
        assert_eq!(resumed, average);
    }

    #[test]
    fn a_layer_s_rate_is_that_of_the_longest_name() {
        let factors = [("features", 0.5), ("features.1", 0.25), ("features.1.0", 0.0)];
        let rates = LayerRates::new(factors.map(|(name, f)| (name.to_owned(), f)).into());
        for (name, factor) in [
            ("features.1.0.block.0.0.weight", 0.0),
            ("features.1.1.block.0.0.weight", 0.25),
            ("features.10.0.weight", 0.5),
            ("features.8.1.bias", 0.5),
            ("classifier.1.weight", 1.0),
        ] {
            assert_eq!(rates.of(name), factor, "{name}");
        }
        assert!(!rates.are_even() && LayerRates::default().are_even());
        assert!(LayerRates::new([("features".to_owned(), 1.0)].into()).are_even());
    }

    /// Of every rule: a factor of 0 leaves every bit, decay and momentum or not, and a
    /// factor of 1 is none.
    #[test]
    fn a_factor_of_nothing_leaves_a_parameter_and_one_changes_nothing() {
        let rules = [
            Rule::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.1 },
            Rule::AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.1 },
        ];
        let parameter = |name: &str| Parameter {
            name: name.into(),
            shape: vec![3, 1],
            values: vec![1.5, -0.1, 1e-30],
            gradient: vec![0.3, -7.0, 1e4],
            decays: true,
        };
        for rule in rules {
            let names = ["features.0.0.weight", "features.1.0.weight", "classifier.1.weight"];
            let factors = [("features.0".to_owned(), 0.0), ("features.1".to_owned(), 1.0)];
            let rates = LayerRates::new(factors.into());
            let (mut own, mut plain) = (names.map(parameter), names.map(parameter));
            let mut by_layer = Optimizer::new(rule, false).with_layers(rates);
            let mut as_ever = Optimizer::new(rule, false);
            for step in 1..5 {
                by_layer.step(own.iter_mut(), 0.01 * f64::from(step));
                as_ever.step(plain.iter_mut(), 0.01 * f64::from(step));
            }
            assert_eq!(own[0].values, parameter(names[0]).values);
            assert_ne!(plain[0].values, own[0].values);
            assert_eq!(own[1].values, plain[1].values);
            assert_eq!(own[2].values, plain[2].values);
        }
    }

    #[test]
    fn decay_spares_vectors_where_asked() {
        let rule = Rule::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.5 };
        for (matrices_only, expected) in [(true, 1.0), (false, 0.95)] {
            let mut parameter = Parameter {
                name: "features.0.1.bias".into(),
                shape: vec![1],
                values: vec![1.0],
                gradient: vec![0.0],
                decays: false,
            };
            let mut optimizer = Optimizer::new(rule, matrices_only);
            optimizer.step(std::iter::once(&mut parameter), 0.1);
            assert_eq!(parameter.values, [expected]);
        }
    }
}
