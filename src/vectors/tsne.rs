//! t-SNE: points of many dimensions on a plane, such that neighbours stay neighbours
//! (van der Maaten & Hinton 2008), with repulsion by the cells of a tree (Barnes–Hut:
//! van der Maaten 2014, JMLR 15). Schedule and step sizes are scikit-learn's.
//!
//! Invariant: the same points and the same start give the same map, bit for bit, with
//! any number of threads and on any machine: sums have a fixed order, and powers and
//! logarithms are those of `vectors::exact`.

use rayon::prelude::*;

use super::exact::{exp, ln};
use super::nearest::between;

/// How a map is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How many neighbours a point has, about: 5 to 50.
    pub perplexity: f64,
    /// Steps in all.
    pub iterations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { perplexity: 30.0, iterations: 1000 }
    }
}

/// Steps in which attraction is exaggerated, and by how much.
const EARLY: (usize, f64) = (250, 12.0);

/// A cell acts as one point from so many times its width.
const THETA: f64 = 0.5;

/// Depth below which points count as being at one place.
const DEPTH: usize = 40;

/// A map, and how well it keeps what is near.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected {
    /// `[points][2]`, around 0.
    pub places: Vec<[f64; 2]>,
    /// The Kullback–Leibler divergence of the map's neighbourhoods from the points'.
    pub divergence: f64,
}

/// Lays out points (`[points][length]`), beginning with `start`. `None` if `stop`
/// says so between two steps.
///
/// # Panics
/// Unless there is a start for each point, and more points than the perplexity.
pub fn project(
    points: &[f32],
    length: usize,
    start: &[[f64; 2]],
    settings: Settings,
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<Projected> {
    let count = points.len() / length;
    assert_eq!(start.len(), count, "a start for each point");
    assert!(count as f64 > settings.perplexity + 1.0, "more points than the perplexity");
    let near = attractions(points, length, settings.perplexity, stop)?;
    let rate = (count as f64 / EARLY.1 / 4.0).max(50.0);
    let mut places = start.to_vec();
    let mut step = vec![[0.0_f64; 2]; count];
    let mut gains = vec![[1.0_f64; 2]; count];
    for iteration in 0..settings.iterations {
        if stop() {
            return None;
        }
        let early = iteration < EARLY.0;
        let (exaggeration, momentum) = if early { (EARLY.1, 0.5) } else { (1.0, 0.8) };
        let (pushes, whole) = repulsions(&places);
        let slopes: Vec<[f64; 2]> = near
            .par_iter()
            .zip(&pushes)
            .enumerate()
            .map(|(i, (near, push))| {
                let pull = attraction(&places, i, near);
                [0, 1].map(|k| 4.0 * (exaggeration * pull[k] - push[k] / whole))
            })
            .collect();
        for (i, slope) in slopes.iter().enumerate() {
            (0..2).for_each(|k| {
                let turned = step[i][k] * slope[k] < 0.0;
                let gain = if turned { gains[i][k] + 0.2 } else { gains[i][k] * 0.8 };
                gains[i][k] = gain.max(0.01);
                step[i][k] = momentum * step[i][k] - rate * gains[i][k] * slope[k];
                places[i][k] += step[i][k];
            });
        }
    }
    let middle = [0, 1].map(|k| places.iter().map(|at| at[k]).sum::<f64>() / count as f64);
    places.iter_mut().for_each(|at| (0..2).for_each(|k| at[k] -= middle[k]));
    let divergence = divergence(&places, &near);
    Some(Projected { places, divergence })
}

/// The neighbours of a point, by number, and how probable each is.
type Near = Vec<(u32, f64)>;

/// The joint probabilities of pairs of neighbours; all add up to 1.
fn attractions(
    points: &[f32],
    length: usize,
    perplexity: f64,
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<Near>> {
    let count = points.len() / length;
    let most = ((3.0 * perplexity) as usize).clamp(1, count - 1);
    let one_way: Option<Vec<Near>> = (0..count)
        .into_par_iter()
        .map(|i| {
            if stop() {
                return None;
            }
            let own = &points[i * length..][..length];
            let others = points.chunks_exact(length).zip(0_u32..).filter(|(_, j)| *j != i as u32);
            let mut found: Vec<(f32, u32)> =
                others.map(|(other, j)| (between(own, other), j)).collect();
            let order = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            if found.len() > most {
                found.select_nth_unstable_by(most - 1, order);
                found.truncate(most);
            }
            found.sort_unstable_by(order);
            Some(probabilities(&found, perplexity))
        })
        .collect();
    let one_way = one_way?;
    let mut both: Vec<Near> = one_way.clone();
    for (i, near) in one_way.iter().enumerate() {
        near.iter().for_each(|(j, p)| both[*j as usize].push((i as u32, *p)));
    }
    both.par_iter_mut().for_each(|near| {
        near.sort_unstable_by_key(|(j, _)| *j);
        near.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 += later.1;
            }
            same
        });
    });
    let whole: f64 = both.iter().flatten().map(|(_, p)| p).sum();
    both.iter_mut().flatten().for_each(|(_, p)| *p /= whole);
    Some(both)
}

/// How probable each neighbour is: a normal distribution of squared distances, as
/// wide as makes so many of them count.
fn probabilities(found: &[(f32, u32)], perplexity: f64) -> Near {
    let wanted = ln(perplexity);
    let nearest = found.first().map_or(0.0, |(d, _)| f64::from(*d));
    let (mut low, mut high, mut beta) = (0.0, f64::INFINITY, 1.0);
    let mut near: Near = Vec::new();
    for _ in 0..200 {
        // From the nearest on, so that it never vanishes.
        near = found.iter().map(|(d, j)| (*j, exp(-beta * (f64::from(*d) - nearest)))).collect();
        let whole: f64 = near.iter().map(|(_, p)| p).sum();
        let weighted: f64 =
            near.iter().zip(found).map(|((_, p), (d, _))| p * (f64::from(*d) - nearest)).sum();
        near.iter_mut().for_each(|(_, p)| *p /= whole);
        let entropy = ln(whole) + beta * weighted / whole;
        if (entropy - wanted).abs() < 1e-5 {
            break;
        }
        if entropy > wanted {
            low = beta;
            beta = if high.is_finite() { f64::midpoint(beta, high) } else { beta * 2.0 };
        } else {
            high = beta;
            beta = f64::midpoint(beta, low);
        }
    }
    near
}

/// The pull of its neighbours on a point.
fn attraction(places: &[[f64; 2]], i: usize, near: &Near) -> [f64; 2] {
    let own = places[i];
    let mut pull = [0.0; 2];
    for (j, p) in near {
        let off = [0, 1].map(|k| own[k] - places[*j as usize][k]);
        let q = 1.0 / (1.0 + off[0] * off[0] + off[1] * off[1]);
        (0..2).for_each(|k| pull[k] += p * q * off[k]);
    }
    pull
}

/// The push of all others on each point, and the sum over all pairs that it is to be
/// divided by.
fn repulsions(places: &[[f64; 2]]) -> (Vec<[f64; 2]>, f64) {
    let tree = Tree::of(places);
    let of_each: Vec<([f64; 2], f64)> = places.par_iter().map(|own| tree.push(*own)).collect();
    let whole: f64 = of_each.iter().map(|(_, sum)| sum).sum();
    (of_each.into_iter().map(|(push, _)| push).collect(), whole.max(f64::MIN_POSITIVE))
}

fn divergence(places: &[[f64; 2]], near: &[Near]) -> f64 {
    let (_, whole) = repulsions(places);
    let of_point = |(i, near): (usize, &Near)| -> f64 {
        let of_pair = |(j, p): &(u32, f64)| {
            let off = [0, 1].map(|k| places[i][k] - places[*j as usize][k]);
            let q = 1.0 / (1.0 + off[0] * off[0] + off[1] * off[1]) / whole;
            if *p > f64::MIN_POSITIVE { p * (ln(*p) - ln(q.max(f64::MIN_POSITIVE))) } else { 0.0 }
        };
        near.iter().map(of_pair).sum()
    };
    near.iter().enumerate().map(of_point).sum()
}

/// A cell of the plane with points in it.
struct Cell {
    middle: [f64; 2],
    points: f64,
    /// The square of its width; 0 of a cell that is not divided.
    width: f64,
    /// The first cell that is not within it.
    next: u32,
}

/// Cells, each before those within it.
struct Tree(Vec<Cell>);

impl Tree {
    fn of(places: &[[f64; 2]]) -> Self {
        let bound = |k: usize, start: f64, of: fn(f64, f64) -> f64| {
            places.iter().map(|at| at[k]).fold(start, of)
        };
        let low = [0, 1].map(|k| bound(k, f64::INFINITY, f64::min));
        let high = [0, 1].map(|k| bound(k, f64::NEG_INFINITY, f64::max));
        let width = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE);
        let mut order: Vec<u32> = (0..places.len() as u32).collect();
        let mut tree = Self(Vec::with_capacity(2 * places.len()));
        tree.add(places, &mut order, low, width, 0);
        tree
    }

    /// Adds the cell of these points, whose lower corner and width are given.
    fn add(
        &mut self,
        places: &[[f64; 2]],
        order: &mut [u32],
        low: [f64; 2],
        width: f64,
        depth: usize,
    ) {
        let points = order.len() as f64;
        let sum = |k: usize| order.iter().map(|i| places[*i as usize][k]).sum::<f64>();
        let middle = [sum(0) / points, sum(1) / points];
        let own = self.0.len();
        let divided = order.len() > 1 && depth < DEPTH;
        let square = if divided { width * width } else { 0.0 };
        self.0.push(Cell { middle, points, width: square, next: 0 });
        if divided {
            let half = width / 2.0;
            let cut = [low[0] + half, low[1] + half];
            let quarter = |i: &u32| {
                let at = places[*i as usize];
                usize::from(at[0] >= cut[0]) + 2 * usize::from(at[1] >= cut[1])
            };
            // Stable, so that sums keep their order.
            order.sort_by_key(quarter);
            let mut rest = order;
            for part in 0..4 {
                let many = rest.partition_point(|i| quarter(i) <= part);
                let (within, others) = std::mem::take(&mut rest).split_at_mut(many);
                if !within.is_empty() {
                    let corner = [
                        if part % 2 == 1 { cut[0] } else { low[0] },
                        if part >= 2 { cut[1] } else { low[1] },
                    ];
                    self.add(places, within, corner, half, depth + 1);
                }
                rest = others;
            }
        }
        self.0[own].next = self.0.len() as u32;
    }

    /// The push on a point at a place, and its part of the sum over pairs.
    fn push(&self, own: [f64; 2]) -> ([f64; 2], f64) {
        let (mut push, mut sum) = ([0.0; 2], 0.0);
        let mut at = 0;
        while let Some(cell) = self.0.get(at) {
            let off = [own[0] - cell.middle[0], own[1] - cell.middle[1]];
            let square = off[0] * off[0] + off[1] * off[1];
            if cell.width > THETA * THETA * square {
                at += 1;
                continue;
            }
            let q = 1.0 / (1.0 + square);
            sum += cell.points * q;
            (0..2).for_each(|k| push[k] += cell.points * q * q * off[k]);
            at = cell.next as usize;
        }
        // It met itself, at no distance.
        (push, sum - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::near::off;
    use crate::random::Stream;

    /// Three heaps of points in ten dimensions, in turn.
    fn heaps(count: usize) -> Vec<f32> {
        let mut stream = Stream::new("heaps", 1, &[]);
        (0..count)
            .flat_map(|i| {
                let at = i % 3;
                let mut own = [0.0_f32; 10];
                own.iter_mut().for_each(|value| *value = stream.unit() as f32);
                own[at] += 6.0;
                own
            })
            .collect()
    }

    fn start(count: usize) -> Vec<[f64; 2]> {
        let mut stream = Stream::new("start", 2, &[]);
        (0..count).map(|_| [0, 1].map(|_| 1e-4 * (stream.unit() - 0.5))).collect()
    }

    #[test]
    fn heaps_stay_apart_with_any_number_of_threads() {
        let (count, settings) = (90, Settings { perplexity: 10.0, iterations: 400 });
        let points = heaps(count);
        let found = project(&points, 10, &start(count), settings, &|| false).unwrap();
        let apart = |i: usize, j: usize| {
            let (a, b) = (found.places[i], found.places[j]);
            (a[0] - b[0]).hypot(a[1] - b[1])
        };
        for i in 0..count {
            let nearest =
                (0..count).filter(|j| *j != i).min_by(|a, b| apart(i, *a).total_cmp(&apart(i, *b)));
            assert_eq!(nearest.unwrap() % 3, i % 3, "point {i}");
        }
        assert!((0.0..1.0).contains(&found.divergence), "{}", found.divergence);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = one.install(|| project(&points, 10, &start(count), settings, &|| false));
        assert_eq!(alone.unwrap(), found);
        assert_eq!(project(&points, 10, &start(count), settings, &|| true), None);
    }

    #[test]
    fn the_tree_pushes_as_all_pairs_do() {
        let mut stream = Stream::new("places", 3, &[]);
        let mut places: Vec<[f64; 2]> =
            (0..400).map(|_| [0, 1].map(|_| 20.0 * stream.unit())).collect();
        // Points at one place.
        places.extend([[3.0, 4.0]; 5]);
        let (pushes, whole) = repulsions(&places);
        let (mut exact, mut sum) = (Vec::new(), 0.0);
        for a in &places {
            let mut push = [0.0; 2];
            for b in &places {
                let off = [a[0] - b[0], a[1] - b[1]];
                let q = 1.0 / (1.0 + off[0] * off[0] + off[1] * off[1]);
                sum += q;
                (0..2).for_each(|k| push[k] += q * q * off[k]);
            }
            sum -= 1.0;
            exact.push(push);
        }
        let worst = off(pushes.as_flattened(), exact.as_flattened());
        assert!((whole / sum - 1.0).abs() < 0.01, "{whole} {sum}");
        assert!(worst < 0.05, "{worst}");
    }

    #[test]
    fn as_many_neighbours_count_as_are_asked_for() {
        let found: Vec<(f32, u32)> = (0..60).map(|k| ((k * k) as f32 * 0.3 + 5.0, k)).collect();
        for perplexity in [5.0_f64, 20.0] {
            let near = probabilities(&found, perplexity);
            let entropy: f64 =
                near.iter().map(|(_, p)| if *p > 0.0 { -p * p.ln() } else { 0.0 }).sum();
            assert!((entropy.exp() - perplexity).abs() < 0.01, "{}", entropy.exp());
        }
        // Points at one place.
        let same: Vec<(f32, u32)> = (0..30).map(|k| (0.0, k)).collect();
        assert!(probabilities(&same, 5.0).iter().all(|(_, p)| (p - 1.0 / 30.0).abs() < 1e-12));
    }
}
