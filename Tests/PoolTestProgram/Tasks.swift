import Glibc
import Multiprocessing

/// What the workers of the scenarios can do.
enum Tasks {
  static let square = TaskDefinition<Int, Int>("square") { $0 * $0 }
  static let mul = TaskDefinition("mul") { (x: Int, y: Int) in x * y }
  static let all: [any RegistrableTask] = [square, mul]
}
