/// Which lock guards a `Shared.Value` or `Shared.Array`: what CPython's `lock` argument says.
public enum SharedLock: Sendable {
  /// A new `RLock` (`lock=True` and `lock=None` in CPython).
  case own
  /// This `Lock` or `RLock`, which may guard other things, too. Whoever holds it may use the value.
  case shared(any ProcessLock)
  /// None (`lock=False` in CPython): elements of 1, 2, 4 or 8 bytes are read and written whole,
  /// nothing else is promised.
  case none
}
