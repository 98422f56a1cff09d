//! Searching a world, and telling what was found.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, CheckerBuilder, HasDiscoveries, Model};

/// A world of the model checker that tells its configurations in words; [`Model::format_action`] tells its actions.
pub trait World:
    Model<State: Hash + Send + Sync + Clone + PartialEq + Debug, Action: Clone + PartialEq + Debug>
where
    Self: Sized + Send + Sync + 'static,
{
    /// A configuration in words.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

/// How many states are generated at most, breadth first: `most`, or as many as `SEMPER_STATES=n` says, to search further.
///
/// # Panics
/// `SEMPER_STATES` is no number.
pub fn bound(most: usize) -> usize {
    std::env::var("SEMPER_STATES").map_or(most, |text| text.parse().expect("SEMPER_STATES is a number"))
}

/// Searches a world, or the first `most` configurations of it. Properties whose names begin with S must hold in each, every other one must
/// show somewhere: a search that never sees what is interesting proves nothing.
///
/// # Panics
/// With the trace of a violated property, or the name of a state that is never reached.
pub fn check<W: World>(world: W, most: Option<usize>) {
    let begin = Instant::now();
    let checker = bounded(world, most).spawn_bfs().join();
    let world = checker.model();
    let (states, generated, elapsed) = (checker.unique_state_count(), checker.state_count(), begin.elapsed());
    println!("{states} states, {generated} generated, {elapsed:?}");
    let discoveries = checker.discoveries();
    for property in world.properties() {
        let (name, violated) = (property.name, property.name.starts_with('S'));
        match discoveries.get(name) {
            Some(path) if violated => {
                let last = world.describe_state(path.last_state());
                panic!("{name} is violated:\n  {}\n  {last}", told(world, path.clone().into_actions()));
            }
            None if !violated => panic!("never reached: {name}"),
            _ => {}
        }
    }
}

/// The properties that are violated in a world, or in the first `most` configurations of it, each with its trace in words. The search ends when
/// every property in `enough` is violated, or all properties if none is named: each is searched for its own counterexample, so that a lesser
/// violation does not hide the one that matters. A property is named by the first word of its name.
pub fn violations<W: World>(world: W, most: Option<usize>, enough: &[&str]) -> Vec<(&'static str, String)> {
    let named = world.properties().into_iter().map(|property| property.name);
    let named = named.filter(|name| enough.iter().any(|word| name.split(' ').next() == Some(word))).collect();
    let until = if enough.is_empty() { HasDiscoveries::All } else { HasDiscoveries::AllOf(named) };
    let checker = bounded(world, most).finish_when(until).spawn_bfs().join();
    let found = checker.discoveries().into_iter();
    let mut found: Vec<_> = found.map(|(name, path)| (name, told(checker.model(), path.into_actions()))).collect();
    found.sort_unstable();
    found
}

fn bounded<W: World>(world: W, most: Option<usize>) -> CheckerBuilder<W> {
    let checker = world.checker().threads(2);
    match most {
        Some(most) => checker.target_state_count(most),
        None => checker,
    }
}

fn told<W: World>(world: &W, actions: Vec<W::Action>) -> String {
    actions.iter().map(|action| world.format_action(action)).collect::<Vec<_>>().join("\n  ")
}
