//! Words for BFD.

use super::{Lang, Words};
use crate::problem::BfdProblem;
use tsumugi_core::bfd::BfdTerms;

pub(super) fn words(kind: &BfdProblem) -> Words {
    match kind {
        BfdProblem::WithoutBfd { key } => Words::new(
            format!("`{key}` says how BFD watches, and it does not watch here"),
            "add `bfd = true`, or remove this",
            format!("`{key}`はBFDでの見張り方を決めるキーですが、ここでは見張りません"),
            "`bfd = true`を書くか、これを消してください",
        ),
        BfdProblem::MultihopWithGtsm => Words::new(
            "routers may stand between by `bfd-multihop`, and none may by `gtsm`",
            "remove one of the two",
            "`bfd-multihop`では間にルーターがあってもよく、`gtsm`ではあってはなりません",
            "どちらかを消してください",
        ),
    }
}

/// The pace, and what follows from it.
pub(super) fn pace(terms: &BfdTerms, lang: Lang) -> String {
    let BfdTerms { interval, multiplier, multihop } = *terms;
    let hops = if multihop { lang.pick(" over several hops", "(複数ホップ)") } else { "" };
    format!("BFD{hops} {multiplier} x {interval} ms")
}
