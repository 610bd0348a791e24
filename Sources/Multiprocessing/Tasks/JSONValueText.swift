/// Any JSON value, passed through unopened and exact: what `echo` takes and answers.
public struct JSONValueText: JSONTextConvertible, Codable, Sendable, Equatable {
  /// The value as minified JSON text.
  public let jsonText: String

  /// Keeps a JSON text.
  public init(jsonText: String) {
    self.jsonText = jsonText
  }

  /// Within another `Codable` type it is a string that holds JSON: an encoder has no place for a
  /// text that it has not made.
  public init(from decoder: any Decoder) throws {
    jsonText = try decoder.singleValueContainer().decode(String.self)
  }

  /// A string that holds JSON, as `init(from:)` has it.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(jsonText)
  }
}
