import JSON
import JobCore

/// Reads an error as a worker tells it: `{"code":…,"type":…,"message":…}`, and as far as there is
/// more, `traceback`, `args`, `module` and `pickle`; of a chunk `item` and `values`, too.
enum RaisedErrorReader {
  /// How many arrays and objects may lie within one another: 64 in a value, and the arrays that
  /// hold the values of a chunk, as in a record.
  private static let depthMax = 72

  /// The error; one that says so if the text is not what was agreed.
  static func read(_ text: String) -> RaisedError {
    var error = RaisedError(type: "Error", message: "")
    do {
      try JSONReader.read(text, depthMax: depthMax) { (json) throws(JSONError) in
        try json.beginObject()
        while let name = try json.nextMember() {
          switch name {
          case "code": error.code = JobError.Code(rawValue: try json.readString()) ?? .raised
          case "type": error.type = try json.readString()
          case "message": error.message = try json.readString()
          case "traceback": error.traceback = try json.readString()
          case "args": error.args = try json.readText()
          case "module": error.module = try json.readString()
          case "pickle": error.pickle = try json.readString()
          case "item": error.item = try json.readInt()
          case "values": error.values = try json.readText()
          default: try json.skipValue()
          }
        }
      }
    } catch {
      return RaisedError(
        type: "ProtocolError", message: "the worker's error cannot be read: \(text.prefix(500))")
    }
    return error
  }
}
