/// How far a call says that it is. It is not durable: it goes with the call.
public struct Progress: Equatable, Sendable {
  /// Any value: minified JSON text, often a number from 0 to 1.
  public var value: String
  /// A sentence for people, if it gave one.
  public var message: String?

  /// Makes a progress.
  public init(value: String, message: String? = nil) {
    self.value = value
    self.message = message
  }
}
