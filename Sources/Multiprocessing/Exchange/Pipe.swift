internal import CPlatform
import Glibc

// A function with the name of a type, because it answers two things: `let (parent, child) = try
// Pipe()` is what `parent, child = Pipe()` is in Python, and a type could not be taken apart so. A
// program that imports Foundation as well still has its class: which of the two is meant shows by
// what is made of the answer.
// swift-format-ignore: AlwaysUseLowerCamelCase
/// Makes a pipe (CPython's `Pipe`): two connections, of which each receives what the other sends.
///
/// - Parameter duplex: if false, the first one only receives and the second one only sends.
/// - Throws: ``ConnectionError`` with `system`, mostly because there are too many open files.
public func Pipe(
  duplex: Bool = true
) throws(ConnectionError) -> (Connection, Connection) {
  var ends: [Int32] = [-1, -1]
  guard lido_packet_pair(duplex ? 0 : 1, &ends) == 0 else {
    throw ConnectionError(.system(errno), "a pipe could not be made")
  }
  return (
    Connection(taking: ends[0], duplex ? .both : .receives),
    Connection(taking: ends[1], duplex ? .both : .sends)
  )
}
