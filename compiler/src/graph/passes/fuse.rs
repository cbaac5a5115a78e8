//! Pointwise fusion: elementwise operators on one value become one function of it.
//!
//! Walking forward, every node has a *form*: a function of some earlier *root* of the same shape. Elementwise operators whose
//! operands are constant or share a root compose; any other node is its own root. Walking backward from what is needed, a
//! node with a nonlinear form becomes [`Op::Pointwise`] on its root, and what lies between dies if nobody else needs it.
//! Affine forms stay as they are: lowering folds them into the next weights. Powers and logarithms compose to powers and logarithms only:
//! they are steep near zero, and as precise there as elsewhere where they are by themselves, and not in a table of some function of them. Squares that
//! are summed are of what a function makes, and not a function: as many bits of the square would be half as many of what is squared.

use crate::graph::{BinaryFn, Graph, Node, NodeId, Op, Pointwise, Tensor};

/// Greatest size of a function: a chain of `x * x + x` doubles with each link.
const LARGEST: usize = 200;

/// A node as a function of another.
#[derive(Clone)]
struct Form {
    root: NodeId,
    function: Pointwise,
}

impl Form {
    /// Of a node that is its own root.
    fn of(root: NodeId) -> Self {
        Self {
            root,
            function: Pointwise::Variable,
        }
    }
}

/// Fuses in place. Nodes that are no longer needed stay until [`Graph::prune`].
pub fn fuse(graph: &mut Graph) {
    let users = graph.users();
    let forms = forms(graph, &users);
    let mut needed = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|(_, id)| needed[*id] = true);
    for id in (0..graph.nodes.len()).rev() {
        if !needed[id] {
            continue;
        }
        if let Some(form) = forms[id].as_ref().filter(|f| f.root != id) {
            let shared = |m: NodeId| users[m].len() > 1 || graph.outputs.iter().any(|o| o.1 == m);
            if form.function.is_affine().is_none() && !ends_linear(graph, &forms, id, shared) {
                graph.nodes[id].op = Op::Pointwise(form.function.clone());
                graph.nodes[id].inputs = vec![form.root];
            }
        }
        graph.nodes[id]
            .inputs
            .iter()
            .for_each(|i| needed[*i] = true);
    }
    for (id, _) in needed.iter().enumerate().filter(|(_, needed)| **needed) {
        write_affine_as_binary(graph, id);
    }
}

/// The form of each node; `None` for constants that are not a single number.
fn forms(graph: &Graph, users: &[Vec<NodeId>]) -> Vec<Option<Form>> {
    let mut forms: Vec<Option<Form>> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let own = Form::of(id);
        let sums = |user: &NodeId| matches!(graph.nodes[*user].op, Op::Reduce { .. });
        let summed = is_square(node) && !users[id].is_empty() && users[id].iter().all(sums);
        let compose =
            |build: &dyn Fn(&[Pointwise]) -> Pointwise| compose(graph, &forms, id, summed, build);
        let form = match &node.op {
            Op::Constant(_) => None,
            // Tables are made of their operands as they are, or none.
            Op::Binary(BinaryFn::FloorDiv | BinaryFn::FloorMod) => Some(own.clone()),
            Op::Pointwise(e) => compose(&|a| e.compose(&a[0])),
            Op::Binary(f) => compose(&|a| Pointwise::binary(*f, a[0].clone(), a[1].clone())),
            Op::Select => compose(&|a| Pointwise::select(a[0].clone(), a[1].clone(), a[2].clone())),
            _ => Some(own.clone()),
        };
        let constant = matches!(node.op, Op::Constant(_));
        forms.push(if constant {
            None
        } else {
            Some(form.unwrap_or(own))
        });
    }
    forms
}

/// Whether the node squares its operand, and does no more.
fn is_square(node: &Node) -> bool {
    match &node.op {
        Op::Binary(BinaryFn::Mul) => node.inputs[0] == node.inputs[1],
        Op::Pointwise(function) => matches!(function.quadratic(), Some([0.0, 0.0, _])),
        _ => false,
    }
}

/// The form of an elementwise node whose operands have one common root of its shape; `summed` if it squares for a sum.
fn compose(
    graph: &Graph,
    forms: &[Option<Form>],
    id: NodeId,
    summed: bool,
    build: impl Fn(&[Pointwise]) -> Pointwise,
) -> Option<Form> {
    let is_law = |form: &Form| form.function.power_law().is_some();
    let form = |input: NodeId| forms[input].clone();
    let composed = composition(graph, id, form, &build)?;
    let is_apart = |form: &Form| is_law(form) || (summed && form.function.is_affine().is_none());
    let apart = |input: &NodeId| form(*input).is_some_and(|form| is_apart(&form));
    if is_law(&composed) || !graph.nodes[id].inputs.iter().any(apart) {
        return Some(composed);
    }
    let as_root = |input: NodeId| match apart(&input) {
        true => Some(Form::of(input)),
        false => form(input),
    };
    composition(graph, id, as_root, &build)
}

/// The form of a node, given those of its operands.
fn composition(
    graph: &Graph,
    id: NodeId,
    form: impl Fn(NodeId) -> Option<Form>,
    build: impl Fn(&[Pointwise]) -> Pointwise,
) -> Option<Form> {
    let node = &graph.nodes[id];
    let mut root = None;
    let mut functions = Vec::new();
    for &input in &node.inputs {
        if let Some(value) = graph.uniform(input) {
            functions.push(Pointwise::Constant(value));
            continue;
        }
        let form = form(input)?;
        if *root.get_or_insert(form.root) != form.root {
            return None;
        }
        functions.push(form.function);
    }
    let root = root.filter(|r| graph.nodes[*r].shape == node.shape)?;
    if functions.iter().map(Pointwise::size).sum::<usize>() > LARGEST {
        return None;
    }
    Some(Form {
        root,
        function: build(&functions).simplify(),
    })
}

/// Whether the node is an affine function of a nonlinear one that is computed anyway.
fn ends_linear(
    graph: &Graph,
    forms: &[Option<Form>],
    id: NodeId,
    shared: impl Fn(NodeId) -> bool,
) -> bool {
    let mut at = id;
    while let Some(before) = affine_operand(graph, at) {
        let nonlinear = forms[before]
            .as_ref()
            .is_some_and(|f| f.function.is_affine().is_none());
        if nonlinear && shared(before) {
            return true;
        }
        at = before;
    }
    false
}

/// The one operand that is not constant, of an operator that is affine in it.
fn affine_operand(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let node = &graph.nodes[id];
    let Op::Binary(f) = node.op else { return None };
    let [a, b] = node.inputs[..] else { return None };
    let (varying, constant) = match (graph.uniform(a), graph.uniform(b)) {
        (None, Some(_)) => (a, 1),
        (Some(_), None) => (b, 0),
        _ => return None,
    };
    let affine = match f {
        BinaryFn::Add | BinaryFn::Sub | BinaryFn::Mul => true,
        BinaryFn::Div => constant == 1,
        _ => false,
    };
    affine.then_some(varying)
}

/// `Pointwise(a x + b)` as products and sums with constants.
fn write_affine_as_binary(graph: &mut Graph, id: NodeId) {
    let Op::Pointwise(e) = &graph.nodes[id].op else {
        return;
    };
    let Some((slope, offset)) = e.is_affine() else {
        return;
    };
    let mut constant = |value: f64| {
        let mut node = graph.nodes[id].clone();
        node.shape = vec![1; node.shape.len()];
        node.op = Op::Constant(Tensor::filled(node.shape.clone(), value));
        node.dtype = graph.dtype_of(&node.op, &[]);
        node.inputs = Vec::new();
        graph.nodes.push(node);
        graph.nodes.len() - 1
    };
    let (slope, offset) = (constant(slope), constant(offset));
    let mut product = graph.nodes[id].clone();
    product.op = Op::Binary(BinaryFn::Mul);
    product.inputs.push(slope);
    graph.nodes.push(product);
    graph.nodes[id].op = Op::Binary(BinaryFn::Add);
    graph.nodes[id].inputs = vec![graph.nodes.len() - 1, offset];
}

#[cfg(test)]
mod tests {
    use crate::graph::interpret;
    use crate::graph::passes::fuse::*;
    use crate::graph::{Dtype, Reducer, UnaryFn};

    fn node(op: Op, inputs: Vec<NodeId>) -> Node {
        Node {
            name: format!("{op:?}"),
            op,
            inputs,
            shape: vec![3],
            dtype: Dtype::Float32,
            range: (-1.0, 2.0),
            stats: Vec::new(),
            seen: Default::default(),
        }
    }

    /// `-(2 x)` as two pointwise nodes, and its `tanh`.
    fn graph() -> Graph {
        let double =
            Pointwise::binary(BinaryFn::Mul, Pointwise::Constant(2.0), Pointwise::Variable);
        Graph {
            nodes: vec![
                node(Op::Input(Dtype::Float32), vec![]),
                node(Op::Pointwise(double), vec![0]),
                node(Op::Pointwise(Pointwise::of(UnaryFn::Neg)), vec![1]),
                node(Op::Pointwise(Pointwise::of(UnaryFn::Tanh)), vec![2]),
            ],
            inputs: vec![0],
            outputs: vec![("linear".into(), 2), ("tanh".into(), 3)],
        }
    }

    #[test]
    fn affine_functions_become_arithmetic_and_ranges_stay() {
        let before = graph();
        let mut after = before.clone();
        fuse(&mut after);
        after.prune();
        let x = [Tensor::new(vec![3], vec![-1.0, 0.0, 0.3])];
        assert_eq!(interpret::run(&after, &x), interpret::run(&before, &x));
        let pointwise: Vec<&Node> = after
            .nodes
            .iter()
            .filter(|n| matches!(n.op, Op::Pointwise(_)))
            .collect();
        assert_eq!(pointwise.len(), 1);
        assert_eq!(pointwise[0].inputs, [0]);
        assert_eq!(pointwise[0].range, (-1.0, 2.0));
        for (id, node) in after.nodes.iter().enumerate() {
            assert!(node.inputs.iter().all(|i| *i < id), "operands come first");
        }
    }

    #[test]
    fn a_function_of_a_logarithm_is_a_node_of_its_own() {
        let mut graph = graph();
        graph.nodes[2].op = Op::Pointwise(Pointwise::of(UnaryFn::Ln));
        graph.outputs.remove(0);
        fuse(&mut graph);
        graph.prune();
        let functions = graph.nodes.iter().filter_map(|node| match &node.op {
            Op::Pointwise(function) => Some(function.clone()),
            _ => None,
        });
        let functions: Vec<Pointwise> = functions.collect();
        assert_eq!(functions.len(), 2);
        assert!(functions[0].power_law().is_some());
        assert_eq!(functions[1], Pointwise::of(UnaryFn::Tanh));
    }

    #[test]
    fn what_is_squared_for_a_sum_is_a_node_of_its_own() {
        let functions = |after: Op, inputs: Vec<NodeId>| {
            let mut graph = graph();
            let square = node(Op::Binary(BinaryFn::Mul), vec![3, 3]);
            graph.nodes.extend([square, node(after, inputs)]);
            graph.outputs = vec![("y".into(), 5)];
            fuse(&mut graph);
            graph.prune();
            let pointwise = |node: &&Node| matches!(node.op, Op::Pointwise(_));
            graph.nodes.iter().filter(pointwise).count()
        };
        let sum = Op::Reduce {
            reducer: Reducer::Sum,
            axes: vec![0],
        };
        assert_eq!(functions(sum, vec![4]), 2);
        assert_eq!(
            functions(Op::Pointwise(Pointwise::of(UnaryFn::Neg)), vec![4]),
            1
        );
    }

    #[test]
    fn fusing_twice_changes_nothing() {
        let mut once = graph();
        fuse(&mut once);
        once.prune();
        let mut twice = once.clone();
        fuse(&mut twice);
        twice.prune();
        assert_eq!(format!("{once:?}"), format!("{twice:?}"));
    }
}
