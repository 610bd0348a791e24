/// Values that processes share: `Shared.Value` and `Shared.Array`, which are `Value` and `Array` of
/// CPython's `multiprocessing.sharedctypes`. The name keeps them apart from Swift's own `Array`.
///
/// They lie in anonymous memory, a descriptor and at least a page each, which is gone with the last
/// process that has it. A process gets them by inheritance: `fork` hands on everything, the other
/// start methods what is (in) the argument of the process, or of a pool's initializer (at most 24
/// descriptors together).
///
/// CPython's `RawValue(…)` and `RawArray(…)` are `Shared.Value(…, lock: .none)` and
/// `Shared.Array(…, lock: .none)`; its `sharedctypes.copy(v)` is `Shared.Value(v.value)`.
public enum Shared {}
