/// Places in a request's body (RFC 6901).
enum JSONPointer {
  /// The pointer to a member of the outermost object: `~` is written `~0`, `/` is `~1`.
  static func member(_ name: String) -> String {
    var pointer = "/"
    // By scalars: a combining mark after `~` makes another `Character` of both.
    for scalar in name.unicodeScalars {
      switch scalar {
      case "~": pointer += "~0"
      case "/": pointer += "~1"
      default: pointer.unicodeScalars.append(scalar)
      }
    }
    return pointer
  }
}
