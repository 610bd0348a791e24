/// Which arrays and objects are open, one bit each, in place of recursion.
///
/// The innermost 64 live in one word, so the usual text (depth at most 64) needs no memory of
/// its own; each full word beneath it is kept aside.
struct ContainerStack {
  /// How many containers are open.
  private(set) var depth = 0
  /// The innermost containers, the last opened in bit 0; a set bit is an object.
  private var top: UInt64 = 0
  /// The words below `top`, each full.
  private var below: [UInt64] = []

  /// Whether the innermost open container is an object; `false` when none is open.
  @inline(__always)
  var isObject: Bool { top & 1 == 1 }

  /// Notes an opening bracket.
  @inline(__always)
  mutating func push(isObject: Bool) {
    if depth & 63 == 0 && depth > 0 { spill() }
    top = top << 1 | (isObject ? 1 : 0)
    depth &+= 1
  }

  /// Notes the closing bracket of the innermost container, which must be there.
  @inline(__always)
  mutating func pop() {
    top >>= 1
    depth &-= 1
    if depth & 63 == 0 && depth > 0 { top = below.removeLast() }
  }

  @inline(never)
  private mutating func spill() {
    below.append(top)
    top = 0
  }
}
