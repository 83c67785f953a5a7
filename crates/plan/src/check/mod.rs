//! What a file means, as far as it can be wrong: everything at once. What only arithmetic can tell
//! (how many packets a packet becomes) is for the compiler.

mod bfd;
mod bmp;
mod frr;
mod gateways;
mod lines;
mod links;
mod management;
mod naming;
mod network;
mod peers;
mod ports;
mod rpki;
mod segments;
mod space;

use crate::declaration::{self, Declaration, Router, Said, Site, Uplink};
use crate::lists::Lists;
use crate::problem::{Naming, Noun, Problem, ProblemKind};
use crate::suggest::closest;
use space::Space;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use tsumugi_core::id::Prefix;

/// What was found.
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    /// Where links are said whose switches are known to be too small: the arithmetic would tell
    /// the same again.
    pub(crate) too_large: HashSet<usize>,
}

/// What is wrong with what a declaration means. Values that could not be read are passed over.
pub(crate) fn meaning(declaration: &Declaration, lists: &Lists) -> Findings {
    let mut survey = Survey::new(declaration, lists);
    naming::check(&mut survey);
    network::check(&mut survey);
    lines::check(&mut survey);
    ports::check(&mut survey);
    links::check(&mut survey);
    segments::check(&mut survey);
    peers::check(&mut survey);
    management::check(&mut survey);
    rpki::check(&mut survey);
    bmp::check(&mut survey);
    bfd::check(&mut survey);
    frr::check(&mut survey);
    Findings { problems: survey.problems, too_large: survey.too_large }
}

/// How often all names are searched for one that may have been meant: no more are shown, and the
/// work stays bounded whatever the file.
const SUGGESTIONS: usize = crate::problem::SHOWN;

/// The declaration with what every check looks up.
struct Survey<'a> {
    file: &'a Declaration,
    lists: &'a Lists,
    sites: HashMap<&'a str, &'a Site>,
    /// By name: the place in `file.routers`.
    routers: HashMap<&'a str, usize>,
    /// By the router's place and the uplink's name.
    uplinks: HashMap<(usize, &'a str), &'a Uplink>,
    segments: HashSet<&'a str>,
    prefixes: Space,
    /// Whether all prefixes could be read, so that what lies outside them is known.
    prefixes_read: bool,
    loopbacks: Space,
    management: Option<Prefix>,
    problems: Vec<Problem>,
    suggestions: usize,
    tunnels: HashMap<ToOthers<'a>, Range<usize>>,
    too_large: HashSet<usize>,
}

/// A tunnel to somebody else: our router, its line, the kind with its key or VNI, and the far end.
type ToOthers<'a> = (usize, &'a str, (&'static str, Option<u32>), IpAddr);

impl<'a> Survey<'a> {
    fn new(file: &'a Declaration, lists: &'a Lists) -> Survey<'a> {
        let routers = file.routers.iter().enumerate();
        let uplinks = routers.clone().flat_map(|(at, router)| {
            router.uplinks.iter().map(move |uplink| ((at, uplink.name.as_str()), uplink))
        });
        let network = &file.network;
        let sound = |list: &'a declaration::List<Prefix>| list.iter().filter_map(Said::sound).copied();
        Survey {
            file,
            lists,
            sites: file.sites.iter().map(|site| (site.name.as_str(), site)).collect(),
            uplinks: uplinks.collect(),
            routers: routers.map(|(at, router)| (router.name.as_str(), at)).collect(),
            segments: file.segments.iter().map(|segment| segment.name.as_str()).collect(),
            // A prefix too short to be anybody's is told, and holds nothing.
            prefixes: Space::new(
                sound(&network.prefixes).filter(|one| one.prefix_len() >= network::shortest(one)),
            ),
            prefixes_read: network.prefixes.sound().is_some()
                && network.prefixes.iter().all(|one| one.sound().is_some()),
            loopbacks: Space::new(sound(&network.loopbacks)),
            management: network.management.sound().copied(),
            problems: Vec::new(),
            suggestions: SUGGESTIONS,
            tunnels: HashMap::new(),
            too_large: HashSet::new(),
        }
    }

    fn tell(&mut self, span: Range<usize>, kind: impl Into<ProblemKind>) {
        self.problems.push(Problem::new(span, kind));
    }

    fn tell_both(&mut self, span: Range<usize>, other: Range<usize>, kind: impl Into<ProblemKind>) {
        self.problems.push(Problem::new(span, kind).with_other(other));
    }

    /// The router of a name, or the problem that there is none.
    fn router(&mut self, name: &Said<String>) -> Option<(usize, &'a Router)> {
        self.router_named(name.sound()?, name.span())
    }

    fn router_named(&mut self, name: &str, span: Range<usize>) -> Option<(usize, &'a Router)> {
        let file = self.file;
        let found = self.routers.get(name).and_then(|at| Some((*at, file.routers.get(*at)?)));
        if found.is_none() {
            let names = file.routers.iter().map(|router| router.name.as_str());
            self.dangling(span, Noun::Router, name, None, names);
        }
        found
    }

    /// The uplink of a name, or the problem that the router has none such.
    fn uplink(&mut self, at: usize, name: &Said<String>) -> Option<&'a Uplink> {
        let (file, text) = (self.file, name.sound()?);
        let found = self.uplinks.get(&(at, text.as_str())).copied();
        if found.is_none()
            && let Some(router) = file.routers.get(at)
        {
            let names = router.uplinks.iter().map(|uplink| uplink.name.as_str());
            self.dangling(name.span(), Noun::Uplink, text, Some(&router.name), names);
        }
        found
    }

    fn site(&mut self, name: &Said<String>) -> Option<&'a Site> {
        let (file, text) = (self.file, name.sound()?);
        let found = self.sites.get(text.as_str()).copied();
        if found.is_none() {
            let names = file.sites.iter().map(|site| site.name.as_str());
            self.dangling(name.span(), Noun::Site, text, None, names);
        }
        found
    }

    /// The name that may have been meant, for as many as are looked for in one file.
    fn nearest<'n>(&mut self, name: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
        let nearest = match self.suggestions {
            0 => None,
            _ => closest(name, names).map(str::to_string),
        };
        self.suggestions = self.suggestions.saturating_sub(1);
        nearest
    }

    fn dangling<'n>(
        &mut self,
        span: Range<usize>,
        what: Noun,
        name: &str,
        of: Option<&str>,
        names: impl Iterator<Item = &'n str>,
    ) {
        let suggestion = self.nearest(name, names);
        let kind = Naming::Dangling { what, name: name.into(), of: of.map(str::to_string), suggestion };
        self.tell(span, kind);
    }
}
