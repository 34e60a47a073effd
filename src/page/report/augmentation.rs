//! What augmentation makes of a picture, as the paper's figure 4 shows it: the image,
//! its middle, turned, a part of it, mirrored, each step with all before it; and what
//! epochs draw.

use std::path::Path;

use maud::{Markup, html};

use super::html::{data_url, foreign};
use crate::cutout::augment::{Augmentation, Augmenter, Draws, Fill};
use crate::cutout::decode::{self, DecodeOptions};
use crate::cutout::{Decoded, RgbImage};
use crate::page::{PageError, raster};
use crate::source::Locator;
use crate::source::read::Reader;

/// Pictures as a training network sees one: step after step, and as they are drawn.
/// Also how many there are, and how many could not be made.
pub(super) fn augmented(
    recipe: &Augmentation,
    path: &Path,
    seed: u64,
) -> Result<(Markup, u64, u64), PageError> {
    /// Draws that are shown.
    const DRAWS: u32 = 8;
    let bad = |what: String| PageError::BadFile { path: path.to_owned(), what };
    let payload = Reader::new().read(&Locator::File(path.to_owned()));
    let decoded = payload
        .and_then(|payload| decode::decode(&payload, &DecodeOptions::default()))
        .map_err(|rejection| bad(rejection.to_string()))?;
    let Decoded::Rgb(image) = decoded else {
        return Err(bad("an example is a picture (JPEG, PNG), not bands".to_owned()));
    };
    let drawn = |repeat| Draws::new(recipe, seed, 1, "example", repeat);
    let first = drawn(0);
    let plain = Draws { fill: recipe.fill, ..Draws::none(recipe.crop) };
    let plain = if recipe.fill == Fill::Black { Draws::none(recipe.crop) } else { plain };
    // One after the other, each with all before it; what is left to chance happens.
    let mut now = plain;
    let mut steps = vec![(format!("its middle, {0} × {0}", recipe.crop), now)];
    if recipe.rotation > 0.0 {
        let little = first.angle.abs() < recipe.rotation / 4.0;
        now.angle = if little { recipe.rotation / 2.0 } else { first.angle };
        steps.push((format!("turned by {:.0}°", now.angle), now));
    }
    if recipe.scale != [1.0, 1.0] || recipe.aspect != [1.0, 1.0] || recipe.zoom != [1.0, 1.0] {
        (now.window, now.side) = (first.window, first.side);
        let what = format!("{} × {} pixels of it", now.window.width, now.window.height);
        steps.push((what, now));
    }
    if recipe.horizontal_flip > 0.0 {
        now.horizontal_flip = true;
        steps.push(("mirrored left to right".to_owned(), now));
    }
    if recipe.vertical_flip > 0.0 {
        now.vertical_flip = true;
        steps.push(("mirrored top to bottom".to_owned(), now));
    }
    if recipe.transpose > 0.0 {
        now.transpose = true;
        steps.push(("transposed".to_owned(), now));
    }
    if first.light != plain.light {
        now.light = first.light;
        steps.push(("other light".to_owned(), now));
    }
    let together: Vec<(String, Draws)> =
        (0..DRAWS).map(|repeat| (format!("draw {}", repeat + 1), drawn(repeat))).collect();
    let whole = format!("the image, {} × {}", image.width, image.height);
    let original = vec![(whole, Ok(encoded(&image)?))];
    let mut augmenter = Augmenter::new();
    let mut made = |list: Vec<(String, Draws)>| -> Result<Vec<Shown>, PageError> {
        let of = |(what, draws): (String, Draws)| {
            let shown = match augmenter.apply(&image, recipe.crop, &draws, recipe.crop) {
                Ok(picture) => Ok(encoded(&picture)?),
                Err(rejection) => Err(rejection.to_string()),
            };
            Ok((what, shown))
        };
        list.into_iter().map(of).collect()
    };
    let steps: Vec<Shown> = original.into_iter().chain(made(steps)?).collect();
    let together = made(together)?;
    let all = || steps.iter().chain(&together);
    let there = all().filter(|(_, shown)| shown.is_ok()).count() as u64;
    let gone = all().count() as u64 - there;
    let content = html! {
        p class="note" {
            "What happens to a training image, here to " (foreign(&path.display().to_string()))
            ", one step after the other:"
        }
        (figures(&steps))
        p class="note" { "and as epochs draw all of it together. Then its colours are normalised, and the network sees it." }
        (figures(&together))
    };
    Ok((content, there, gone))
}

/// What a picture is, and the picture, or why there is none.
type Shown = (String, Result<String, String>);

fn figures(list: &[Shown]) -> Markup {
    html! {
        div class="pictures" {
            @for (what, shown) in list {
                figure {
                    @match shown {
                        Ok(url) => { img src=(url) alt=(what) width="160" height="160"; }
                        Err(why) => { span class="empty" { (foreign(why)) } }
                    }
                    figcaption { (what) }
                }
            }
        }
    }
}

fn encoded(picture: &RgbImage) -> Result<String, PageError> {
    Ok(data_url("image/jpeg", &raster::jpeg(&raster::fitted(picture, 200), 85)?))
}
