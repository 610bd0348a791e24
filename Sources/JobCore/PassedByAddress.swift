/// Has the struct that holds one handed to functions by its address.
///
/// A struct of plain members is handed over as a copy of its bytes, made anew for each call, as
/// long as the compiler cannot show that nobody changes it meanwhile: of an engine 800 bytes, some
/// twenty times a job. One with a member that only a type known at run time can copy has an address
/// and nothing else (SIL's "address-only" types), and what only reads it reads it where it is.
///
/// The price: where it is copied after all, the copy counts every reference in it. A closure that
/// stands on the right of `??`, or is given to `map`, copies what it captures of such a struct; an
/// `if` does not.
struct PassedByAddress: Equatable, Sendable {
  /// An existential may hold anything, so that only what it holds knows how it is copied: the
  /// compiler leaves it, and what it is a part of, in memory. It holds nothing.
  private let nothing: (any Sendable)? = nil

  static func == (_: PassedByAddress, _: PassedByAddress) -> Bool { true }
}
