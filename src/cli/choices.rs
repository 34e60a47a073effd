//! The names of the library's choices on the command line, and their help.
//!
//! The library knows its enumerations, and by serde how files write them; only
//! here they meet the parser of arguments. Invariant: a value has the same name
//! here and in files.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::classify::recipe::{PrecisionChoice, ResampleChoice};
use crate::tree::Stage2;
use crate::vectors::{Distance, Method};
use crate::{export, model::model_file, simulate};

macro_rules! choices {
    ($($type:ty { $($variant:ident = $name:literal, $help:literal;)+ })+) => {$(
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self::$variant),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(match self {
                    $(Self::$variant => PossibleValue::new($name).help($help)),+
                })
            }
        }
    )+};
}

choices! {
    Stage2 {
        Routed = "routed", "Those of which their question is asked, by the answers so far: the paper's routing";
        All = "all", "Every row, so that every row has all five probabilities";
    }
    ResampleChoice {
        None = "none", "They are rejected with their size";
        Bilinear = "bilinear", "Enlarged with a bilinear filter";
        Lanczos3 = "lanczos3", "Enlarged with a Lanczos filter of order 3";
    }
    PrecisionChoice {
        Auto = "auto", "As the run that is resumed does; else bfloat16 where the processor multiplies it faster, and single precision elsewhere";
        F32 = "f32", "Single precision";
        Bf16 = "bf16", "bfloat16, sums in single precision";
        Int8 = "int8", "Rounded to eight bits where they are multiplied, on processors with VNNI: the fastest where bfloat16 is not fast, and never taken unasked, as about one label in a thousand is another";
    }
    Distance {
        Euclidean = "euclidean", "The length of the vectors' difference";
        Cosine = "cosine", "1 less the cosine of the angle between them";
    }
    Method {
        Tsne = "tsne", "t-SNE of the first 50 principal components";
        Pca = "pca", "The first two principal components";
    }
    super::map::Colour {
        Label = "label", "The class";
        Confidence = "confidence", "Its probability";
        Oddness = "oddness", "How odd a galaxy is";
    }
    model_file::StoredPrecision {
        F32 = "f32", "As they are";
        F16 = "f16", "Rounded to half precision: half the size";
    }
    simulate::Format {
        Jpeg = "jpeg", "`<id>.jpg`: colours, row 0 in the north";
        Fits = "fits", "`<id>_g.fits`, `<id>_r.fits`, `<id>_i.fits`: calibrated bands with WCS";
        FitsGz = "fits.gz", "The same, gzipped";
        Tar = "tar", "`cutouts-00000.tar` and so on, of 10,000 JPEGs each";
    }
    export::Format {
        Parquet = "parquet", "One Parquet file, with VOTable metadata";
        Csv = "csv", "Comma-separated values, at full precision";
        Fits = "fits", "A FITS binary table";
        Votable = "votable", "A VOTable (TABLEDATA)";
        Hats = "hats", "A folder partitioned by HEALPix, for LSDB and services";
    }
    export::Names {
        Catalog = "catalog", "As in the catalog";
        GalaxyZoo = "galaxy-zoo", "After Galaxy Zoo's questions and answers";
    }
    export::Ids {
        Text = "text", "As text, as they came";
        Integer = "integer", "As 64-bit integers; refused if one is not the plain decimal form of one";
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    /// The names of a type on the command line and, by serde, in files.
    fn names<T: ValueEnum + Serialize>() -> Vec<(String, String)> {
        let name = |value: &T| {
            let typed = value.to_possible_value().unwrap().get_name().to_owned();
            (typed, serde_json::to_value(value).unwrap().as_str().unwrap().to_owned())
        };
        T::value_variants().iter().map(name).collect()
    }

    #[test]
    fn values_have_the_names_that_files_give_them() {
        let all = [names::<Stage2>(), names::<ResampleChoice>(), names::<PrecisionChoice>()];
        for (typed, written) in all.concat() {
            assert_eq!(typed, written);
        }
    }
}
