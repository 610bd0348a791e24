/// The six kinds of value of RFC 8259, section 3. The raw value is the word for it in messages.
public enum JSONKind: String, Equatable, Sendable {
  case object
  case array
  case string
  case number
  case bool = "boolean"
  case null
}
