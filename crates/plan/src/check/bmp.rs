//! Collectors that can be reached.

use super::Survey;
use super::rpki::{Trouble, endpoints};
use crate::problem::BmpProblem;

pub(super) fn check(survey: &mut Survey<'_>) {
    let Some(bmp) = &survey.file.bmp else { return };
    endpoints(survey, bmp.plane.as_ref(), &bmp.collectors, |collector, trouble| match trouble {
        Trouble::Unusable => BmpProblem::CollectorUnusable { collector },
        Trouble::InFabric => BmpProblem::CollectorInFabric { collector },
        Trouble::InManagement => BmpProblem::CollectorInManagement { collector },
    });
}
