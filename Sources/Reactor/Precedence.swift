/// The place of a descriptor's action among those that are ready together. Within one precedence
/// the order is that in which the descriptors became ready.
///
/// The reactor knows no more about it than the order; which source has which place is the
/// server's decision.
public enum Precedence: UInt8, CaseIterable, Comparable, Sendable {
  /// Before everything else.
  case early
  /// Neither early nor late.
  case middle
  /// After everything else.
  case late

  /// The order of the declaration.
  public static func < (left: Precedence, right: Precedence) -> Bool {
    left.rawValue < right.rawValue
  }
}
