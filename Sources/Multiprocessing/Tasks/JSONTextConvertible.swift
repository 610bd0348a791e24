/// A type that reads and writes its own JSON text, where what `Codable` would make of it is not
/// what it means: a big integer, as a JSON number of any length.
public protocol JSONTextConvertible: SendableMetatype {
  /// Reads one JSON value, minified. The error's description becomes the failed call's message.
  init(jsonText: String) throws
  /// The value as JSON text. It is checked, so a wrong one fails the call and nothing else.
  var jsonText: String { get throws }
}

/// One of which most values are integers that an `Int` holds: the items and results of a map that
/// all are are read and written without a string for each of them.
public protocol JSONIntegerConvertible: JSONTextConvertible {
  /// The value that the text of this integer is read as; nil: the text is to be read, which throws
  /// what is wrong with it.
  init?(jsonInteger: Int)
  /// The integer that the value's text is; nil of all other values.
  var jsonInteger: Int? { get }
}
